-- Inserting, indexing, joining, sorting, grouping: 40,000 rows in memory.
CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, price REAL);
CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO item SELECT i, i * 7919 % 503, printf('item %05d', i * 104729 % 40009), i % 97 * 1.25 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 502)
INSERT INTO owner SELECT i, printf('owner %03d', i * 31 % 503) FROM n;
COMMIT;
CREATE INDEX item_by_name ON item (name);
CREATE INDEX item_by_owner ON item (owner, price);
SELECT count(*), sum(price) FROM item WHERE name LIKE 'item 1%';
SELECT owner.name, count(*), round(avg(price), 3) FROM item JOIN owner ON owner.id = item.owner
  GROUP BY owner.id ORDER BY 3 DESC, 1 LIMIT 5;
UPDATE item SET price = price + 1 WHERE owner % 7 = 3;
DELETE FROM item WHERE id IN (SELECT id FROM item ORDER BY name LIMIT 10000);
SELECT count(*), total(price), min(name), max(name) FROM item;
