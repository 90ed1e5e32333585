"""The wire forms: what travels through Kafka, and the topics it travels on."""
