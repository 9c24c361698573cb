"""Where requests are handled: one desk for each kind of thing. A desk asks the rules, then the tables or the store."""
