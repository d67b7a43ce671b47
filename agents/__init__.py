"""Planners for the environment: ηMCTS, best of n, greedy, and what it takes to write one's own."""

from agents.base import AsyncPlanner, Budget, Planner, PlanResult, RootOption
from agents.best_of_n import BestOfN
from agents.config import Descent, MCTSConfig
from agents.greedy import Greedy
from agents.mcts import EtaMCTS, eta_mcts
from agents.pages.tree_page import show_tree
from agents.presets import PRESETS, preset_family
from agents.registry import PLANNERS, make_planner
from agents.running import run_episodes, run_unordered
from agents.tree.answering import ANSWER_RULES
from agents.tree.backup import BACKUPS
from agents.tree.evaluation import LeafScoring, OutcomeScorer
from agents.tree.expansion import Sampling, Width
from agents.tree.halving import ROOT_SELECTIONS
from agents.tree.merging import MERGE_RULES
from agents.tree.node import Node, render_tree
from agents.tree.search import SearchInterruptedError, TreeSearch
from agents.tree.selection import SELECTION_RULES, Candidates
from agents.tree.trace import Trace
from alphallm_env.runtime.metering import Usage

__all__ = [
    "ANSWER_RULES",
    "BACKUPS",
    "MERGE_RULES",
    "PLANNERS",
    "PRESETS",
    "ROOT_SELECTIONS",
    "SELECTION_RULES",
    "AsyncPlanner",
    "BestOfN",
    "Budget",
    "Candidates",
    "Descent",
    "EtaMCTS",
    "Greedy",
    "LeafScoring",
    "MCTSConfig",
    "Node",
    "OutcomeScorer",
    "PlanResult",
    "Planner",
    "RootOption",
    "Sampling",
    "SearchInterruptedError",
    "Trace",
    "TreeSearch",
    "Usage",
    "Width",
    "eta_mcts",
    "make_planner",
    "preset_family",
    "render_tree",
    "run_episodes",
    "run_unordered",
    "show_tree",
]
