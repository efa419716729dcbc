"""PostgreSQL: the way in, the migrations, and the embedded server."""
