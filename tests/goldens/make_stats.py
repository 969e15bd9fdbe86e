"""Reference values for src/stats, from independent implementations: lifelines, SciPy, NumPy.

    pip install lifelines scipy numpy
    python tests/goldens/make_stats.py        # writes tests/goldens/stats.json

The bootstrap of SciPy draws other random numbers than ours, so the intervals here come from many resamples and
are compared with a tolerance. The values of Kaplan and Meier's estimator and of the quantiles are compared to the last digits.
"""

import json
import pathlib

import lifelines
import numpy as np
import scipy
from lifelines.utils import median_survival_times, qth_survival_times
from scipy import stats

RESAMPLES = 100_000


def kaplan_meier(cost, reached):
    fitter = lifelines.KaplanMeierFitter(alpha=0.05).fit(cost, reached)
    survival = fitter.survival_function_["KM_estimate"]
    band = fitter.confidence_interval_
    table = fitter.event_table
    steps = [
        {
            "cost": float(time),
            "at_risk": float(table.loc[time, "at_risk"]),
            "reached": float(table.loc[time, "observed"]),
            "survival": float(survival[time]),
            "low": float(band.iloc[:, 0][time]),
            "high": float(band.iloc[:, 1][time]),
        }
        for time in table.index
        if table.loc[time, "observed"] > 0
    ]
    finite = lambda value: float(value) if np.isfinite(value) else None
    interval = median_survival_times(band)
    return {
        "cost": list(map(float, cost)),
        "reached": list(map(bool, reached)),
        "steps": steps,
        "quartiles": [finite(qth_survival_times(1 - p, fitter.survival_function_)) for p in (0.25, 0.5, 0.75)],
        "median_interval": [finite(interval.iloc[0, 0]), finite(interval.iloc[0, 1])],
    }


def hettmansperger_sheather(values, confidence=0.95):
    x = np.sort(values)
    n = len(x)
    level = lambda k: 1 - 2 * stats.binom.cdf(k - 1, n, 0.5)
    k = max(k for k in range(1, n // 2 + 1) if level(k) >= confidence)
    part = (level(k) - confidence) / (level(k) - level(k + 1))
    weight = (n - k) * part / (k + (n - 2 * k) * part)
    mix = lambda a, b: float((1 - weight) * a + weight * b)
    return [mix(x[k - 1], x[k]), mix(x[n - k], x[n - k - 1])]


def intervals(values):
    x = np.array(values)
    rng = np.random.default_rng(1)
    boot = lambda statistic, method: [
        float(end)
        for end in stats.bootstrap(
            (x,), statistic, n_resamples=RESAMPLES, method=method, rng=rng, batch=1000
        ).confidence_interval
    ]
    resamples = rng.choice(x, (RESAMPLES, len(x)))
    error = x.std(ddof=1) / np.sqrt(len(x))
    ratios = (resamples.mean(1) - x.mean()) / (resamples.std(1, ddof=1) / np.sqrt(len(x)))
    low, high = np.quantile(ratios, [0.975, 0.025])
    student = stats.t.interval(0.95, len(x) - 1, x.mean(), error)
    return {
        "values": list(map(float, x)),
        "quantiles": [float(q) for q in np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95])],
        "student": list(map(float, student)),
        "mean_percentile": boot(np.mean, "percentile"),
        "mean_bca": boot(np.mean, "BCa"),
        "median_percentile": boot(np.median, "percentile"),
        "mean_studentised": [float(x.mean() - low * error), float(x.mean() - high * error)],
        "median_order": hettmansperger_sheather(x),
    }


rng = np.random.default_rng(7)
cost = np.round(rng.lognormal(1, 0.6, 24), 1)  # rounded: ties
limit = np.round(rng.uniform(2, 6, 24), 1)
golden = {
    "made_with": f"lifelines {lifelines.__version__}, scipy {scipy.__version__}, numpy {np.__version__}",
    "kaplan_meier": [
        kaplan_meier(np.minimum(cost, limit), cost <= limit),
        kaplan_meier(np.array([3.0, 1.0, 2.0, 2.0, 5.0]), np.ones(5, bool)),
        kaplan_meier(np.array([1.0, 2.0, 3.0, 4.0, 4.0, 4.0]), np.array([1, 0, 1, 0, 0, 0], bool)),
    ],
    "intervals": [intervals(np.round(rng.lognormal(0, 0.8, 20), 3)), intervals(np.round(rng.normal(0.9, 0.02, 50), 4))],
}
path = pathlib.Path(__file__).with_name("stats.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
