"""The services Tidemark runs on, as real processes on this machine: Apache Kafka, Redis and MLflow's tracking server."""
