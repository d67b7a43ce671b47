"""A fine-tuner: plain PyTorch, a lesson a step, each weighted by its score (reward-weighted regression).

python -m experiments.self_improve --fine-tuner docs.examples.extend.fine_tuner:WeightedFineTuner --out runs/weighted
"""

import torch

from alphallm_env.training.base import FineTuneResult


class WeightedFineTuner:
    """Lowers weight · score · the mean negative log-likelihood of each solution's tokens."""

    def fine_tune(self, lm, template, lessons, settings, out, logs):
        """Trains the model in place, and writes model and tokenizer to `out`."""
        texts = [self.tokens(lm.tokenizer, template, lesson) for lesson in lessons]
        longest = settings.max_length or lm.model.config.max_position_embeddings
        if not texts or max(len(ids) for ids, _ in texts) > longest:
            raise ValueError(f"expected lessons of at most {longest} tokens each, at least one")
        torch.manual_seed(settings.seed)
        optimizer, losses = torch.optim.AdamW(lm.model.parameters(), lr=settings.lr), []
        for _ in range(settings.epochs):
            for lesson, (ids, labels) in zip(lessons, texts, strict=True):
                loss = lm.model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
                (lesson.weight * lesson.score * loss).backward()
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.item())
        lm.model.save_pretrained(out)
        lm.tokenizer.save_pretrained(out)
        return FineTuneResult(sum(losses) / len(losses), len(lessons))

    def tokens(self, tokenizer, template, lesson):
        """Returns the tokens of question and solution, and the same with the question masked: it is not learnt."""
        prompt, whole = (
            tokenizer.encode(template.solve(lesson.question, text), add_special_tokens=False)
            for text in ("", lesson.solution)
        )
        ids = [*whole, tokenizer.eos_token_id]
        return ids, [-100] * len(prompt) + ids[len(prompt) :]
