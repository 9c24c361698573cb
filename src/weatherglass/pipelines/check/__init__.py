"""Is a pipeline ready for a cloud: files of many kinds in, findings with why and mend out. Reads; never runs."""

from weatherglass.pipelines.check.checking import check
from weatherglass.pipelines.check.findings import Finding, Report

__all__ = ["Finding", "Report", "check"]
