"""A backend: no cache, no batches.  python -m experiments.evaluate --backend docs.examples.extend.backend:PlainLM"""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alphallm_env import StopReason
from alphallm_env.lm.base import Completion, LabelProbs


class PlainLM:
    def __init__(self, source, device, dtype):
        self.name, self.is_reproducible = f"plain:{source}", True  # no result depends on what else is asked
        self.tokenizer = AutoTokenizer.from_pretrained(source)  # prompts are written for it
        self.encode = lambda text: self.tokenizer.encode(text, add_special_tokens=False)
        self.model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype).requires_grad_(False)

    def generate(self, requests):
        return [self.write(request) for request in requests]

    def write(self, request):
        prompt, ids, total, rng = self.encode(request.prompt), [], 0.0, torch.Generator().manual_seed(request.seed)
        while len(ids) < request.max_tokens:
            scores = self.next(prompt + ids)
            ids.append(int(torch.multinomial((scores / max(request.temperature, 1e-6)).softmax(-1), 1, generator=rng)))
            total, text = total + float(scores[ids[-1]]), self.tokenizer.decode(ids, skip_special_tokens=True)
            closed = text if ids[-1] == self.tokenizer.eos_token_id else request.before_stop(text)
            if closed is not None or request.rule.terminates(text):
                reason = StopReason.RULE if closed is None else StopReason.END_OF_TEXT
                return Completion(text if closed is None else closed, len(ids), total, reason)
        return Completion(text, len(ids), total, StopReason.LENGTH)

    def label_probs(self, prompts, labels):
        first = [self.encode(label)[0] for label in labels]
        return [LabelProbs(tuple(self.next(ids)[first].exp().tolist()), len(ids)) for ids in map(self.encode, prompts)]

    def count_tokens(self, text):
        return len(self.encode(text))

    def next(self, ids):  # log-probabilities of the next token
        return self.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
