"""Planners for the environment: ηMCTS, best of n, greedy, and what it takes to write one's own."""

from agents.base import AsyncPlanner, Budget, Planner, PlanResult
from agents.best_of_n import BestOfN
from agents.greedy import Greedy
from agents.mcts import PRESETS, EtaMCTS, MCTSConfig, eta_mcts
from agents.registry import make_planner
from agents.running import run_episodes
from agents.tree.node import Node, render_tree
from alphallm_env.runtime.metering import Usage

__all__ = [
    "PRESETS",
    "AsyncPlanner",
    "BestOfN",
    "Budget",
    "EtaMCTS",
    "Greedy",
    "MCTSConfig",
    "Node",
    "PlanResult",
    "Planner",
    "Usage",
    "eta_mcts",
    "make_planner",
    "render_tree",
    "run_episodes",
]
