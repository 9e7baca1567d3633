"""How do we speak to Kafka?"""
