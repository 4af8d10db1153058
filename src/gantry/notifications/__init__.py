"""Where messages about instances are sent: topics of Pub/Sub, and webhooks."""
