"""Critics that prompt a language model for True or False: PRM, ORM, and an ORM that may run programs."""
