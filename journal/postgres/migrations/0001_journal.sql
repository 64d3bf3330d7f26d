-- SPDX-License-Identifier: Apache-2.0
-- Format 1 of the journal. {{schema}}, {{lock}} and {{channel}} are filled in when it is applied.
--
-- Whoever writes first takes the sequencing lock and keeps it until its transaction ends, so positions rise in the
-- order of commits. Nothing is read before the lock is held: each statement after it sees all that was committed.
-- Events and stream names are only ever inserted. An open snapshot elsewhere therefore costs nothing.

-- One row: which log this is, which life of it, and how it is stored.
create table {{schema}}.log (
  one    boolean primary key default true check (one),
  id     text    not null,
  epoch  bigint  not null default 1 check (epoch > 0),
  format integer not null
);

-- Sequences are the same in every snapshot, which positions need in REPEATABLE READ, and survive the events they
-- numbered, so that no number is given twice. They are moved under the lock only.
create sequence {{schema}}.positions as bigint minvalue 0 start 0;
create sequence {{schema}}.stream_ids as bigint minvalue 0 start 0;
select setval('{{schema}}.positions', 0), setval('{{schema}}.stream_ids', 0);

create table {{schema}}.streams (
  id   bigint           primary key,
  name text collate "C" not null unique check (octet_length(name) between 1 and 255)
);

-- Not partitioned by position: uniqueness of (stream, version) cannot span such partitions, and it is what refuses a
-- transaction whose snapshot is too old to see that others appended.
create table {{schema}}.events (
  position bigint           primary key,
  stream   bigint           not null,
  version  bigint           not null check (version > 0),
  time     timestamptz      not null,
  schema   integer          not null,
  id       uuid             not null,
  newest   uuid,            -- the greatest id of the stream so far, where that is not this event's
  type     text collate "C" not null,
  tags     text[] collate "C",
  meta     bytea,
  data     bytea,
  unique (stream, version)
);
create index events_tags on {{schema}}.events using gin (tags) with (fastupdate = off) where tags is not null;

create table {{schema}}.records (
  kind    text collate "C" not null check (octet_length(kind) between 1 and 255),
  key     text collate "C" not null check (octet_length(key) between 1 and 255),
  version bigint           not null check (version > 0),
  due     timestamptz,
  value   bytea,
  primary key (kind, key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index records_due on {{schema}}.records (kind, due, key) where due is not null;

-- Units that transactions of others want to append: one row each, gone again when the transaction ends.
create unlogged table {{schema}}.staged (
  id       bigint generated always as identity primary key,
  a_stream text[], a_expect bigint[],
  e_append integer[], e_id uuid[], e_type text[], e_schema integer[], e_time timestamptz[],
  e_tags   text[], e_meta bytea[], e_data bytea[],
  f_lease  text[], f_epoch bigint[],
  c_after  bigint[], c_filter jsonb[],
  r_op     integer[], r_kind text[], r_key text[], r_expect bigint[], r_due timestamptz[], r_value bytea[]
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create function {{schema}}.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'VD007',
    hint = 'Append an event that corrects the earlier one.';
end $$;
create trigger append_only before update or delete or truncate on {{schema}}.events
  for each statement execute function {{schema}}.refuse_change();
create trigger append_only before update or delete or truncate on {{schema}}.streams
  for each statement execute function {{schema}}.refuse_change();

-- The position of the first event after p_after that fits the filter, or null. A filter is an array of matches, such
-- as [{"types": ["a", "b"], "tags": ["t"]}, {"stream": "s-1"}, {"category": "s"}]; [] fits every event.
-- "offset 0" keeps the planner from betting that a match is found early.
create function {{schema}}.violation(p_after bigint, p_filter jsonb) returns bigint
language plpgsql stable security definer
set search_path = {{schema}}, pg_temp
set jit = off
as $$
declare
  m     jsonb;
  at    bigint;
  first bigint;
begin
  if p_filter = '[]' then
    select position into first from events where position > p_after order by position limit 1;
    return first;
  end if;
  for m in select * from jsonb_array_elements(p_filter) loop
    execute 'select min(position) from (select e.position from events e where e.position > $1'
      || case when m ? 'stream' then ' and e.stream = (select s.id from streams s where s.name = $2)' else '' end
      || case when m ? 'category' then ' and exists (select from streams s where s.id = e.stream'
        || ' and split_part(s.name, ''-'', 1) = $3)' else '' end
      || case when m ? 'types' then ' and e.type = any ($4)' else '' end
      || case when m ? 'tags' then ' and e.tags @> $5' else '' end
      || ' offset 0) fitting'
    into at
    using p_after, m ->> 'stream', m ->> 'category',
      array(select jsonb_array_elements_text(m -> 'types')),
      array(select jsonb_array_elements_text(m -> 'tags'));
    first := least(first, at);
  end loop;
  return first;
end $$;

-- Where streams end. Names without events are left out.
create function {{schema}}.heads(
  p_names text[], out name text, out stream bigint, out version bigint, out "position" bigint, out newest uuid
) returns setof record
language sql stable security definer rows 10
set search_path = {{schema}}, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $$
  select n.name, s.id, e.version, e.position, coalesce(e.newest, e.id)
  from unnest(p_names) as n (name)
  join {{schema}}.streams s on s.name = n.name collate "C"
  cross join lateral (
    select version, position, newest, id from {{schema}}.events where stream = s.id order by version desc limit 1) e
$$;

-- What others wrote after a position that a node knew. d_* are their events; too_far says that they are too many to
-- tell. Stale says that one of p_streams is among them, or a condition violated. This and the next two functions hold
-- the planner to indexes: a plan made while a table was small would read it whole for ever.
create function {{schema}}.moved(
  p_base bigint, p_streams bigint[], c_after bigint[], c_filter jsonb[],
  out stale boolean, out too_far boolean,
  out d_stream bigint[], out d_version bigint[], out d_position bigint[], out d_id uuid[], out d_newest uuid[]
) language plpgsql volatile
set search_path = {{schema}}, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  too_far := false;
  select array_agg(d.stream), array_agg(d.version), array_agg(d.position), array_agg(d.id),
      array_agg(coalesce(d.newest, d.id))
    into d_stream, d_version, d_position, d_id, d_newest
    from (select * from events e where e.position > p_base order by e.position limit 10001) d;
  if cardinality(d_stream) > 10000 then
    too_far := true;
    d_stream := null; d_version := null; d_position := null; d_id := null; d_newest := null;
    stale := exists (
      select from unnest(p_streams) s where (
        select position from events e where e.stream = s order by e.version desc limit 1) > p_base);
  else
    stale := exists (select unnest(p_streams) intersect select unnest(d_stream));
  end if;
  if cardinality(c_after) > 0 then
    stale := stale or exists (
      select from unnest(c_after, c_filter) c (after, filter)
      where violation(greatest(c.after, p_base), c.filter) is not null);
  end if;
end $$;

-- Which of the records are not at the version that a node believed, and at which they are.
create function {{schema}}.mistaken(
  r_kind text[], r_key text[], r_version bigint[], out b_index bigint[], out b_version bigint[]
) language plpgsql volatile
set search_path = {{schema}}, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  select array_agg(b.o), array_agg(b.version) into b_index, b_version
    from (
      select r.o, r.believed,
        coalesce((select c.version from records c where c.kind = r.kind and c.key = r.key), 0) as version
      from unnest(r_kind, r_key, r_version) with ordinality r (kind, key, believed, o)) b
    where b.version <> b.believed;
end $$;

-- Writes records; version 0 deletes.
create function {{schema}}.put_records(
  w_kind text[], w_key text[], w_version bigint[], w_due timestamptz[], w_value bytea[]
) returns void language plpgsql volatile
set search_path = {{schema}}, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  insert into records as r (kind, key, version, due, value)
    select w.kind, w.key, w.version, w.due, w.value
    from unnest(w_kind, w_key, w_version, w_due, w_value) w (kind, key, version, due, value)
    where w.version > 0
    on conflict (kind, key) do update
      set version = excluded.version, due = excluded.due, value = excluded.value;
  if 0 = any (w_version) then
    delete from records r using unnest(w_kind, w_key, w_version) w (kind, key, version)
      where w.version = 0 and r.kind = w.kind and r.key = w.key;
  end if;
end $$;

-- Refuses a node that was opened on another log, or in another life of it.
create function {{schema}}.refuse_other_log(p_log text, p_epoch bigint, p_base bigint) returns void language plpgsql
set search_path = {{schema}}, pg_temp
as $$
declare
  l log;
begin
  select * into l from log;
  raise exception 'this is log % at epoch % and position %, the node knows log % at epoch % and position %',
    l.id, l.epoch, pg_sequence_last_value('positions'), p_log, p_epoch, p_base using errcode = 'VD001';
end $$;

-- Sets what a commit needs of its session, or refuses.
create function {{schema}}.mend_session() returns void language plpgsql as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'commit needs READ COMMITTED' using errcode = 'VD008',
      hint = 'ALTER ROLE the node''s role SET default_transaction_isolation = ''read committed''.';
  end if;
  if pg_is_in_recovery() then
    raise exception 'the server is a standby' using errcode = '25006';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end $$;

-- Commits a batch that a node has planned, or says what the node did not know and writes nothing (stale).
--
-- The node has planned with: the log and its epoch; the heads of p_streams as they were at position p_base; p_absent,
-- names of streams without events, of which the first p_new get some; versions of records (r_*); conditions (c_*) that
-- held at p_base. e_stream is an id, or -k for p_absent[k]. w_* are the records to write, version 0 to delete.
--
-- Nearly every commit of a node that is alone runs two statements here, the lock and the insert: what is rare is in
-- functions of its own, for each statement and each setting costs a few microseconds of every commit.
--
-- Positions go on from last. d_* are the events of others after p_base; too_far says that they are too many to tell.
create function {{schema}}.commit(
  p_log text, p_epoch bigint, p_base bigint, p_streams bigint[], p_absent text[], p_new integer,
  e_stream bigint[], e_version bigint[], e_time timestamptz[], e_schema integer[], e_id uuid[], e_newest uuid[],
  e_type text[], e_tags text[], e_meta bytea[], e_data bytea[],
  r_kind text[], r_key text[], r_version bigint[],
  w_kind text[], w_key text[], w_version bigint[], w_due timestamptz[], w_value bytea[],
  c_after bigint[], c_filter jsonb[],
  out stale boolean, out too_far boolean, out last bigint, out first_stream bigint,
  out d_stream bigint[], out d_version bigint[], out d_position bigint[], out d_id uuid[], out d_newest uuid[],
  out x_name text[], out x_stream bigint[], out x_version bigint[], out x_position bigint[], out x_newest uuid[],
  out b_index bigint[], out b_version bigint[]
) language plpgsql volatile security definer
set search_path = {{schema}}, pg_temp
set plan_cache_mode = force_generic_plan
set lock_timeout = '20s'
as $$
declare
  v_rows bigint;
  v_told text;
begin
  -- Expressions are cheaper than statements, and fewer than many: each is prepared anew in every transaction. The lock is
  -- free most of the time. What is false or nothing stays null.
  if not pg_try_advisory_xact_lock({{lock}}) then
    perform pg_advisory_xact_lock({{lock}});
  end if;
  if current_setting('transaction_isolation') <> 'read committed' or pg_is_in_recovery()
      or current_setting('synchronous_commit') = 'off' then
    perform mend_session();
  end if;
  last := pg_sequence_last_value('positions');
  if last <> p_base or cardinality(p_absent) > 0 or cardinality(r_kind) > 0 then
    if last < p_base then
      perform refuse_other_log(p_log, p_epoch, p_base);
    end if;
    stale := false;
    if last > p_base then
      select m.* into stale, too_far, d_stream, d_version, d_position, d_id, d_newest
        from moved(p_base, p_streams, c_after, c_filter) m;
    end if;
    if cardinality(p_absent) > 0 then
      select array_agg(h.name), array_agg(h.stream), array_agg(h.version), array_agg(h.position), array_agg(h.newest)
        into x_name, x_stream, x_version, x_position, x_newest
        from heads(p_absent) h;
      stale := stale or x_name is not null;
    end if;
    if cardinality(r_kind) > 0 then
      select m.* into b_index, b_version from mistaken(r_kind, r_key, r_version) m;
      stale := stale or b_index is not null;
    end if;
    if stale then
      return;
    end if;
  end if;

  if p_new > 0 then
    select s.last_value into first_stream from stream_ids s;
    insert into streams (id, name)
      select first_stream + n.o, n.name from unnest(p_absent[1:p_new]) with ordinality n (name, o);
    v_rows := setval('stream_ids', first_stream + p_new);
  end if;
  if cardinality(e_id) > 0 then
    insert into events (position, stream, version, time, schema, id, newest, type, tags, meta, data)
      select last + e.o, case when e.stream > 0 then e.stream else first_stream - e.stream end,
        e.version, e.time, e.schema, e.id, e.newest, e.type, e.tags::text[], e.meta, e.data
      from unnest(e_stream, e_version, e_time, e_schema, e_id, e_newest, e_type, e_tags, e_meta, e_data)
        with ordinality e (stream, version, time, schema, id, newest, type, tags, meta, data, o)
      where exists (select from log l where l.id = p_log and l.epoch = p_epoch);
    get diagnostics v_rows = row_count;
    if v_rows = 0 then
      perform refuse_other_log(p_log, p_epoch, p_base);
    end if;
    v_rows := setval('positions', last + v_rows);
    v_told := pg_notify({{channel}}, v_rows::text)::text;
  elsif not exists (select from log l where l.id = p_log and l.epoch = p_epoch) then
    perform refuse_other_log(p_log, p_epoch, p_base);
  end if;
  if cardinality(w_kind) > 0 then
    perform put_records(w_kind, w_key, w_version, w_due, w_value);
  end if;
end $$;

-- The next life of the log, after a restore.
create function {{schema}}.renew(out epoch bigint) language plpgsql security definer
set search_path = {{schema}}, pg_temp
as $$
begin
  perform pg_advisory_xact_lock({{lock}});
  update log l set epoch = l.epoch + 1 returning l.epoch into renew.epoch;
end $$;
