"""Renders an episode for people: `render_text` as plain text, `render_image` as pixels."""

from alphallm_env.envs.rendering.ansi import render_text
from alphallm_env.envs.rendering.image import render_image

__all__ = ["render_image", "render_text"]
