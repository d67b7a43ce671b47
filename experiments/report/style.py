"""The style of the pages: light, dark and printed, in the colours of Okabe and Ito, which all eyes can tell apart."""

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --raised: #f4f5f6; --ink: #1d2125; --soft: #59626c;
  --line: #d5d9dd; --blue: #0072b2; --orange: #c77700; --green: #007a5a; --red: #c04a00 }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #14171a; --raised: #1e2327; --ink: #e4e7ea;
  --soft: #a2abb4; --line: #3a4147; --blue: #56b4e9; --orange: #e69f00; --green: #2fbf94; --red: #ff8a47 } }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  background: var(--ground); color: var(--ink); overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem } h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
a { color: var(--blue) } .soft, figcaption { color: var(--soft); font-size: .9rem }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: .6rem 0; margin: 1rem 0;
  border-block: 1px solid var(--line); font-size: .9rem }
.lead { font-size: 1.1rem }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.2rem 0 }
.tile { background: var(--raised); border-radius: .4rem; padding: .7rem .9rem; border-left: 4px solid var(--soft) }
.tile.above { border-color: var(--blue) } .tile.below { border-color: var(--red) }
.tile b { display: block; font-size: 1.7rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.tile span { display: block; font-size: .85rem; color: var(--soft) }
.scroll { overflow-x: auto; margin: .8rem 0 }
table { border-collapse: collapse; font-size: .86rem; min-width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .45rem; text-align: right; vertical-align: top }
th { border-bottom: 2px solid var(--soft); white-space: nowrap } td { border-bottom: 1px solid var(--line) }
td:not(.words) { white-space: nowrap } .words { text-align: left } td.words { min-width: 4.5rem }
figure { margin: 1rem 0 } .scroll img { min-width: 36rem } img { max-width: 100%; height: auto; display: block }
svg { display: block; width: 100%; height: auto; font-size: 13px; fill: var(--ink) }
.wide { min-width: 46rem } .spread { width: 11rem; height: 1.1rem }
svg .strong { font-weight: 600; font-size: 15px } svg .faint { fill: var(--soft); font-size: 12px }
svg .box { fill: var(--raised); stroke: var(--soft) } svg .axis, svg .frame { stroke: var(--soft); fill: none }
svg .arrow { stroke: var(--blue); stroke-width: 2; fill: none } svg .tip { fill: var(--blue) }
svg .interval { stroke: var(--blue); stroke-width: 2 } svg .point { fill: var(--blue) }
.policy { fill: var(--blue) } .rollout { fill: var(--orange) } .critic { fill: var(--green) }
pre { background: var(--raised); padding: .8rem; border-radius: .4rem; white-space: pre-wrap; font-size: .85rem;
  overflow-wrap: anywhere }
details { border-bottom: 1px solid var(--line); padding: .4rem 0 } summary { cursor: pointer }
@media print { body { max-width: none; padding: 0; font-size: 11pt } nav { display: none }
  .scroll { overflow: visible } table { font-size: 8pt } th, td { padding: .15rem .3rem }
  .wide, .scroll img { min-width: 0 }
  details::details-content { content-visibility: visible; display: block }
  figure, tr, .tile, pre { break-inside: avoid } h2, h3 { break-after: avoid } }
"""
