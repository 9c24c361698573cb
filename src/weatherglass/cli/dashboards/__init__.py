"""What `weatherglass dashboards` can do, a module each."""
