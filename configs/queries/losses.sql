-- What was offered within a minute and what became of it, by source and exporter, in the unit that
-- its protocol counts: lost never arrived, dropped found no room here, undecodable was not
-- understood, or has no template yet. Look for missing above 0; below 0, late messages mended it.
SELECT
    source,
    exporter,
    unit,
    sum(offered) AS offered,
    sum(delivered) AS delivered,
    sum(control) AS control,
    sum(undecodable + dropped + lost) AS missing,
    sum(undecodable) AS undecodable,
    sum(dropped) AS dropped,
    sum(lost) AS lost,
    sum(socket_drops) AS socket_drops
FROM ledger
WHERE query_name IS NULL
GROUP BY source, exporter, unit, tumble('60 seconds')
ORDER BY missing DESC, offered DESC;
