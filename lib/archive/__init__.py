"""The archive: old candles and indicators in Parquet files, a month of a series each, and the way back.

Nothing is deleted from the database before a file holds it, was read back, and is on record in the manifest; and what
is deleted is compared with the file once more, row by row, in the transaction that deletes it.
"""
