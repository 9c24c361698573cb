"""Where state rests and messages flow. Import the piece you need: `engine.log`, `engine.tables`, …

Nothing is imported here, so that the agent can use `engine.log` without the database's libraries.
"""
