from dataclasses import dataclass
@dataclass(frozen=True)
class HostileAnswer:
    kind: str
    name: str
    text: str
    gold: str = "18"
    may_pass: bool = False
ANSWERS: tuple[HostileAnswer, ...] = ()
