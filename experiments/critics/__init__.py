"""What critics are trained and measured with: graded data, labels of steps, measures, tables and pictures."""
