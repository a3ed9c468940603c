SELECT deleted, reached, in_the_way
FROM cleanup_batch(CAST(:relation AS text), CAST(:parent_column AS text), CAST(:parent AS uuid),
                   CAST(:walk_column AS text), CAST(:first AS text), CAST(:last AS text), CAST(:batch AS integer));
