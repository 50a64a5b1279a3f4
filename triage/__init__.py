"""Issues and pull requests. So far the search language and the rules of subscriptions; models and pages are to come."""
