"""The edge: the only importers of ccxt, SQLModel, SQLAlchemy, psycopg2 and Apprise."""
