"""The places of the charts in the page; its script draws what is chosen there."""

from leaderboard.charts.figures import Figure
from leaderboard.charts.files import FOLDER, KINDS
from leaderboard.html.elements import text


def figure_html(figure: Figure) -> str:
    """A chart's title, choices, note, files, and the fold of its numbers."""
    key = figure.dataset
    choices = list(dict.fromkeys(view.choice for view in figure.views if view.choice))
    radios = "\n".join(
        f'<label><input type="radio" name="{key}" value="{text(choice)}"'
        f"{' checked' if place == 0 else ''}> {text(choice)}</label>"
        for place, choice in enumerate(choices)
    )
    said = f'<span class="quiet" id="against-{key}">against</span>'
    against = f'<div role="radiogroup" aria-labelledby="against-{key}">{said}\n{radios}</div>'
    against = against if choices else ""
    file = f"{FOLDER}/{figure.views[0].file}"
    files = " ".join(
        f'<a data-kind="{kind}" href="{file}.{kind}">{kind.upper()}</a>' for kind in KINDS
    )
    return (
        f'<figure data-figure="{key}" aria-labelledby="figure-{key}">\n'
        f'<figcaption><h3 id="figure-{key}">{text(figure.title)}</h3></figcaption>\n'
        f'<div class="choices">{against}<label>of <select></select></label></div>\n'
        '<div class="chart"></div>\n'
        f'<p class="quiet">{text(figure.note)} <span class="files">Files: {files}</span></p>\n'
        "<details><summary>The numbers</summary>"
        '<div class="frame" tabindex="0" role="region" aria-label="The numbers of the chart"></div>'
        "</details>\n</figure>"
    )
