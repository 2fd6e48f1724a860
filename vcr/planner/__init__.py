"""From a project to a plan: a pure function of project, lock and context."""
