"""Grafana: dashboards, and how it finds them and Prometheus."""
