"""The fake clouds, made once each."""

from __future__ import annotations

import pytest

from portal import fake_cloud
from portal.fake_cloud import FakeRooms


@pytest.fixture
def rich() -> FakeRooms:
    return fake_cloud.rich()


@pytest.fixture(scope="session")
def seen() -> FakeRooms:
    """The institute, for tests that only look."""
    return fake_cloud.rich()


@pytest.fixture(scope="session")
def empty() -> FakeRooms:
    return fake_cloud.empty()


@pytest.fixture(scope="session")
def large() -> FakeRooms:
    return fake_cloud.large()
