"""Tests of the pages, over fake rooms."""
