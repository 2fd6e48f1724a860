CREATE TABLE fruit (name text PRIMARY KEY, grams integer NOT NULL);
INSERT INTO fruit VALUES ('apple', 180), ('plum', 60);
