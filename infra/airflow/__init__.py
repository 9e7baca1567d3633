"""Airflow for the batch jobs: its environment, its settings, its DAGs."""
