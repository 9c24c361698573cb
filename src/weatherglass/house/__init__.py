"""The one composition root: builds the rooms, hands them their sinks and actions, starts and stops them.

Nothing is decided here that a room could decide; nothing here is imported by any room.
"""
