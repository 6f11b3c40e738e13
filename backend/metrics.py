"""What /metrics says, in Prometheus' text format.

With several workers each process counts for itself. `rsiseg serve` gives them a folder to share (PROMETHEUS_MULTIPROC_DIR), and /metrics
then shows the sum over all of them, whichever worker answers; without that folder it shows the worker that answered.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)


class Metrics:
    """The server's counters. A failure is counted by the class of its error; a bug of ours is "unexpected"."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self.answers = Counter("rsiseg_answers_total", "Entries of /predict answers by outcome.", ["outcome"], registry=own)
        self.failures = Counter("rsiseg_failures_total", "Requests that could not be answered, by reason.", ["reason"], registry=own)
        self.steps = Counter(
            "rsiseg_steps_total", "Clicks computed by a segmenter; undone and repeated clicks cost none.", ["model"], registry=own
        )
        self.over_limit = Counter(
            "rsiseg_over_20_clicks_total", "Answers to clicks beyond an object's 20th, the study's limit.", ["model"], registry=own
        )
        self.corrected = Counter("rsiseg_corrected_total", "Answers that correct a region that was there.", ["source"], registry=own)
        self.seconds = Histogram("rsiseg_click_seconds", "Time to answer a click, seconds.", buckets=_SECONDS, registry=own)
        self.webhooks = Counter("rsiseg_webhooks_total", "Webhook calls by action.", ["action"], registry=own)
        self.disk = Counter("rsiseg_disk_cache_total", "Encodings on disk: hit, miss, written, damaged.", ["outcome"], registry=own)
        self.disk_bytes = Gauge(
            "rsiseg_disk_cache_bytes", "Bytes of encodings on disk, of all workers.", multiprocess_mode="mostrecent", registry=own
        )
        self.warmed = Counter(
            "rsiseg_warmed_total",
            "Images made ready before a click: encoded, read from disk, kept in memory already; busy and gave_way are tried again.",
            ["outcome"],
            registry=own,
        )
        self.cached = Gauge("rsiseg_cache_bytes", "Bytes kept, by kind.", ["kind"], multiprocess_mode="livesum", registry=own)

    def text(self) -> bytes:
        """The body of /metrics."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone)
        return generate_latest(everyone)
