INSERT INTO partition_truncated VALUES (101, 101);
ALTER TABLE partition_truncated TRUNCATE PARTITION p1;
