"""The page: template, styles, scripts and charts in one file, under a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthset.measures.registry import measures_of
from synthset.report import sections
from synthset.report.best import best_tests, best_views, most_fine
from synthset.report.comparison import Comparison, build_comparison_figures
from synthset.report.figures import build_figures
from synthset.report.formatting import number, page_json, percent, points, unbroken_flags
from synthset.report.galleries import build_galleries, order_classes
from synthset.report.models import models_table
from synthset.report.parts import Part
from synthset.report.prompt_study import PromptStudy
from synthset.report.reading import Diagnosis
from synthset.report.results import Results, build_result_figures
from synthset.report.verdicts import count_verdicts, find_ailments, order_by_need, tone
from synthset.version import __version__

WING = "synthset.report"  # whose templates and assets these are
ROWS_SHOWN_FIRST = 50  # of long tables; the rest is in the page, hidden until asked for


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """The report of a diagnosis as HTML."""
    rows = order_by_need(diagnosis.classes.to_pylist())
    verdicts = count_verdicts(diagnosis, rows)
    class_order = order_classes(rows, len(diagnosis.info.class_names))
    return _render(
        "diagnosis.html.j2",
        build_figures(diagnosis),
        diagnosis=diagnosis,
        real_sets=[info for info in diagnosis.info.sets if info.is_real],
        verdicts=verdicts,
        findings=find_ailments(diagnosis, rows),
        bests=best_tests(diagnosis),
        most_fine=most_fine(verdicts),
        few=sections.fewest_images(diagnosis),
        few_queries=sections.fewest_queries(diagnosis),
        models=models_table(diagnosis.models),
        class_rows=rows,
        measures_of=measures_of,
        set_measures=sections.set_measures,
        zero_sets=sections.zero_sets,
        negative_sets=sections.negative_sets,
        summary_rows=diagnosis.summary.to_pylist(),
        error_rows=sections.sets_with(diagnosis, "errors"),
        correlations=sections.correlated_measures(diagnosis),
        backbone_rows=sections.sets_with(diagnosis, "backbone"),
        matrix_rows=diagnosis.matrix.sort_by("experiment").to_pylist(),
        ambiguous=sections.ranked_classes(diagnosis.ambiguity),
        judged_classes=sections.ranked_classes(diagnosis.judged),
        galleries=build_galleries(diagnosis, class_order),
        filter_galleries=build_galleries(diagnosis, class_order, audits=True),
        confusions=[sections.most_confused(evaluation) for evaluation in diagnosis.evaluations],
        settings_of=sections.filter_settings,
        prompts=sections.prompts_by_class(diagnosis, class_order),
        details=sections.set_details(diagnosis),
    )


def render_comparison(comparison: Comparison) -> str:
    """The report of a comparison as HTML."""
    figures = build_comparison_figures(comparison)
    about = {"bests": best_views(comparison), "models": models_table(comparison.models)}
    return _render("comparison.html.j2", figures, comparison=comparison, **about)


def render_study(study: PromptStudy) -> str:
    """The report of a prompt study as HTML."""
    return _render("prompt_study.html.j2", {}, study=study)


def render_results(results: Results) -> str:
    """The report of transfers, detectors and curves as HTML."""
    return _render("results.html.j2", build_result_figures(results), results=results)


def render_elsewhere(package: str, template: str, **values: Any) -> str:
    """A page without charts, in the look of these, of a template of another wing, with its sections."""
    return _render(template, {}, package, **values)


def _render(template: str, figures: Mapping[str, Part], package: str = WING, **values: Any) -> str:
    """A page of its template, with all that it needs in it."""
    style, script = _asset("report.css"), _asset("report.js")
    plotly = _plotly() if figures else ""
    return (
        _environment(package)
        .get_template(template)
        .render(
            version=__version__,
            policy=_policy([style, ""], [plotly, script] if plotly else [script]),
            style=Markup(style),
            script=Markup(script),
            plotly=Markup(plotly),
            plotly_style_ids=re.findall(r'getElementById\("([0-9a-f]{64})"\)', plotly),
            figures=figures,
            figures_json=Markup(page_json(figures)),
            rows_first=ROWS_SHOWN_FIRST,
            **values,
        )
    )


def _environment(package: str) -> Environment:
    loader, strict = ChoiceLoader([PackageLoader(package), PackageLoader(WING)]), StrictUndefined
    environment = Environment(loader=loader, undefined=strict, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "number": number, "points": points, "tone": tone}
    environment.globals |= {"percent": percent, "number": number}  # macros see no values of the page
    environment.filters |= {"flags": unbroken_flags, "taken": sections.taken}
    return environment


def _policy(styles: list[str], scripts: list[str]) -> str:
    """A Content-Security-Policy: nothing from anywhere, but the styles and scripts with these hashes."""
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, scripts)),
        "style-src": " ".join(map(_hash, styles)),
        "style-src-attr": f"'unsafe-hashes' {_hash('')}",  # plotly empties style attributes, which is all it may
        "img-src": "data: blob:",  # thumbnails, and what plotly draws
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    # a browser hashes what it parsed, and parsing makes one kind of line end
    return _one_line_end((files(WING) / "assets" / name).read_text("utf-8"))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return _one_line_end(get_plotlyjs())


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
