"""PostgreSQL: the way in, the migrations, and the store of registrations."""
