SELECT first, last
FROM cleanup_extent(CAST(:relation AS text), CAST(:parent_column AS text), CAST(:parent AS uuid),
                    CAST(:walk_column AS text))
WHERE first IS NOT NULL;
