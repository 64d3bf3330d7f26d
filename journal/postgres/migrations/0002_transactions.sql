-- SPDX-License-Identifier: Apache-2.0
-- Format 2: units in the transactions of others.
--
-- A unit is staged as one row when the transaction says so, and sequenced by a deferred trigger inside its COMMIT: the
-- sequencing lock is taken last, so a slow transaction holds up nobody, and one that is rolled back leaves nothing.
-- In REPEATABLE READ and SERIALIZABLE the snapshot is older than the lock. Positions and ids come from sequences, and
-- what the snapshot does not show is found out by unique constraints, also where nothing is to be written (see
-- sees_all), and by locking rows. Conditions cannot be checked that way and are refused.

-- A UUIDv7 (RFC 9562).
create function {{schema}}.new_id() returns uuid language sql volatile parallel safe as $$
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
    substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;

-- Stages a unit. Appends, events, fences, conditions and records are columns of arrays; e_append says which append an
-- event belongs to, counted from 1.
create function {{schema}}.stage(
  a_stream text[], a_expect bigint[],
  e_append integer[], e_id uuid[], e_type text[], e_schema integer[], e_time timestamptz[],
  e_tags text[], e_meta bytea[], e_data bytea[],
  f_lease text[], f_epoch bigint[],
  c_after bigint[], c_filter jsonb[],
  r_op integer[], r_kind text[], r_key text[], r_expect bigint[], r_due timestamptz[], r_value bytea[]
) returns void language plpgsql volatile security definer
set search_path = {{schema}}, pg_temp
as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    if cardinality(c_after) > 0 then
      raise exception 'append conditions need READ COMMITTED' using errcode = 'VD006',
        hint = 'An older snapshot cannot see what must not have happened: begin the transaction READ COMMITTED.';
    end if;
  end if;
  insert into staged (a_stream, a_expect, e_append, e_id, e_type, e_schema, e_time, e_tags, e_meta, e_data,
      f_lease, f_epoch, c_after, c_filter, r_op, r_kind, r_key, r_expect, r_due, r_value)
    values (stage.a_stream, stage.a_expect, stage.e_append, stage.e_id, stage.e_type, stage.e_schema, stage.e_time,
      stage.e_tags, stage.e_meta, stage.e_data, stage.f_lease, stage.f_epoch, stage.c_after, stage.c_filter,
      stage.r_op, stage.r_kind, stage.r_key, stage.r_expect, stage.r_due, stage.r_value);
end $$;

-- Appends one event to a stream when the transaction commits, for callers in plain SQL. expect is a version, 0 for a
-- stream without events, -1 for any, -2 for one that exists.
create function {{schema}}.append(
  stream text, expect bigint, type text, data jsonb, meta jsonb default null, tags text[] default null,
  id uuid default null, schema integer default 1, "time" timestamptz default null
) returns uuid language plpgsql volatile
as $$
declare
  event uuid := coalesce(append.id, {{schema}}.new_id());
begin
  if coalesce(octet_length(append.stream), 0) not between 1 and 255 or append.stream ~ '[\x01-\x1f\x7f]'
    or coalesce(octet_length(append.type), 0) not between 1 and 255 or append.type ~ '[\x01-\x1f\x7f]'
    or exists (select from unnest(append.tags) t (tag)
      where coalesce(octet_length(t.tag), 0) not between 1 and 255 or t.tag ~ '[\x01-\x1f\x7f]')
    or coalesce(append.expect, -3) < -2 or coalesce(append.schema, 0) < 1
    or octet_length(append.data::text) > 1048576 or octet_length(append.meta::text) > 65536
    or cardinality(append.tags) > 32 then
    raise exception 'invalid stream, expect, type, schema, tags, meta or data' using errcode = 'VD006',
      hint = 'Names have 1 to 255 bytes, no control characters; data up to 1 MiB, meta 64 KiB, tags 32 pieces.';
  end if;
  perform {{schema}}.stage(
    array[append.stream], array[append.expect],
    array[1], array[event], array[append.type], array[append.schema],
    array[coalesce(append.time, clock_timestamp())], array[nullif(append.tags, '{}')::text],
    array[convert_to(append.meta::text, 'UTF8')], array[convert_to(append.data::text, 'UTF8')],
    null, null, null, null, null, null, null, null, null, null);
  return event;
end $$;

-- Looks for the events of an append among the last 1,000 of its stream. found is how many are there; last_version is
-- that of the last one, null when they do not follow each other.
create function {{schema}}.appended_before(
  p_stream bigint, p_head bigint, p_ids uuid[], out found bigint, out last_version bigint
) language sql volatile security definer
set search_path = {{schema}}, pg_temp
set jit = off
as $$
  select count(*), case when max(f.version) - min(f.version) = count(*) - 1
      and bool_and(f.version - f.o = f.first_version - f.first_o) then max(f.version) end
  from (
    select e.version, i.o, first_value(e.version) over w as first_version, first_value(i.o) over w as first_o
    from unnest(p_ids) with ordinality i (id, o)
    join {{schema}}.events e on e.id = i.id
    where e.stream = p_stream and e.version > p_head - 1000 - cardinality(p_ids) + 1
    window w as (order by i.o)) f
$$;

-- Appends a staged unit, in the transaction that staged it, as the node would have: the same checks in the same order.
create function {{schema}}.sequence_staged() returns trigger language plpgsql volatile security definer
set search_path = {{schema}}, pg_temp
set lock_timeout = '20s'
set jit = off
as $$
declare
  u         {{schema}}.staged := new;
  fresh     boolean := current_setting('transaction_isolation') in ('read committed', 'read uncommitted');
  n_appends integer := coalesce(cardinality(u.a_stream), 0);
  n_records integer := coalesce(cardinality(u.r_kind), 0);
  ids       uuid[];
  a_id      bigint[];  -- of the appends' streams, null where there is none yet
  a_head    bigint[];
  a_newest  uuid[];
  with_events integer := 0;
  known     integer := 0;
  unknown   integer := 0;
  r_now     bigint[];
  v         record;
  top       uuid;
  newest    uuid[];
  last      bigint;
  version   bigint;
begin
  perform pg_advisory_xact_lock({{lock}});
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform pg_notify({{channel}}, ''); -- PREPARE TRANSACTION would keep the lock; it refuses who has notified
  delete from staged where staged.id = u.id;

  for i in 1 .. n_appends loop
    select s.id, e.version, coalesce(e.newest, e.id) as newest into v
      from streams s cross join lateral (
        select * from events where events.stream = s.id order by events.version desc limit 1) e
      where s.name = u.a_stream[i];
    a_id[i] := v.id; a_head[i] := coalesce(v.version, 0); a_newest[i] := v.newest;
    ids := array(select e.id from unnest(u.e_id, u.e_append) with ordinality e (id, append, o)
      where e.append = i order by e.o);
    continue when cardinality(ids) = 0;
    with_events := with_events + 1;
    if a_id[i] is null or not exists (select from unnest(ids) e (id) where e.id <= a_newest[i]) then
      unknown := unknown + 1;
      continue;
    end if;
    select * into v from appended_before(a_id[i], a_head[i], ids);
    if v.found = 0 then
      unknown := unknown + 1;
    elsif v.found = cardinality(ids) and v.last_version is not null then
      known := known + 1;
    else
      known := known + 1;
      unknown := unknown + 1;
    end if;
  end loop;
  if known > 0 and unknown > 0 then
    raise exception 'stream % already has an event with an id of this unit, but not the same unit', u.a_stream[1]
      using errcode = 'VD005', hint = 'Use new ids for new events, and repeat a unit only whole.';
  elsif known > 0 then
    return null;
  end if;

  for i in 1 .. coalesce(cardinality(u.f_lease), 0) loop
    version := coalesce({{schema}}.record_version('lease', u.f_lease[i], fresh), 0);
    if version <> u.f_epoch[i] then
      raise exception 'lease % is at epoch %, the write came with epoch %', u.f_lease[i], version, u.f_epoch[i]
        using errcode = 'VD004',
        detail = jsonb_build_object('lease', u.f_lease[i], 'held', u.f_epoch[i], 'current', version);
    end if;
    if not fresh and version = 0 then
      perform sees_all('lease', u.f_lease[i]);
    end if;
  end loop;
  for i in 1 .. n_appends loop
    if not fresh and u.a_expect[i] >= 0 and i <> all (coalesce(u.e_append, '{}')) then
      perform sees_all(u.a_stream[i], a_id[i], a_head[i]);
    end if;
    if not expected(u.a_expect[i], a_head[i]) then
      raise exception 'version conflict on %: expected %, is at version %', u.a_stream[i], u.a_expect[i], a_head[i]
        using errcode = 'VD002',
        detail = jsonb_build_object('name', u.a_stream[i], 'expect', u.a_expect[i], 'actual', a_head[i]);
    end if;
  end loop;
  for i in 1 .. coalesce(cardinality(u.c_after), 0) loop
    last := violation(u.c_after[i], u.c_filter[i]);
    if last is not null then
      raise exception 'the event at position % matches conditions[%], which looks after %', last, i - 1, u.c_after[i]
        using errcode = 'VD003', hint = 'Read up to there and decide anew.';
    end if;
  end loop;
  for i in 1 .. n_records loop
    r_now[i] := coalesce(record_version(u.r_kind[i], u.r_key[i], fresh), 0);
    if not fresh and r_now[i] = 0 and u.r_op[i] <> 0 then
      perform sees_all(u.r_kind[i], u.r_key[i]);
    end if;
    if not expected(u.r_expect[i], r_now[i]) then
      raise exception 'version conflict on %/%: expected %, is at version %',
        u.r_kind[i], u.r_key[i], u.r_expect[i], r_now[i] using errcode = 'VD002',
        detail = jsonb_build_object(
          'name', u.r_kind[i] || '/' || u.r_key[i], 'expect', u.r_expect[i], 'actual', r_now[i]);
    end if;
  end loop;

  if with_events > 0 then
    for i in 1 .. n_appends loop
      newest := null;
      top := a_newest[i];
      for v in select e.id, e.o from unnest(u.e_id, u.e_append) with ordinality e (id, append, o)
        where e.append = i order by e.o
      loop
        newest[v.o] := case when top > v.id then top end;
        top := greatest(top, v.id);
      end loop;
      continue when top is not distinct from a_newest[i] and newest is null;
      if a_id[i] is null then
        a_id[i] := nextval('stream_ids');
        insert into streams (id, name) values (a_id[i], u.a_stream[i]);
      end if;
      select p.last_value into last from positions p;
      insert into events (position, stream, version, time, schema, id, newest, type, tags, meta, data)
        select last + row_number() over w, a_id[i], a_head[i] + row_number() over w, e.time, e.schema, e.id,
          newest[e.o], e.type, e.tags::text[], nullif(e.meta, ''), nullif(e.data, '')
        from unnest(u.e_append, u.e_time, u.e_schema, u.e_id, u.e_type, u.e_tags, u.e_meta, u.e_data)
          with ordinality e (append, time, schema, id, type, tags, meta, data, o)
        where e.append = i
        window w as (order by e.o);
      get diagnostics version = row_count;
      perform setval('positions', last + version), pg_notify({{channel}}, (last + version)::text);
    end loop;
  end if;
  for i in 1 .. n_records loop
    if u.r_op[i] = 0 and r_now[i] = 0 then
      insert into records (kind, key, version, due, value)
        values (u.r_kind[i], u.r_key[i], next_version(u.r_kind[i], 0), u.r_due[i], nullif(u.r_value[i], ''));
    elsif u.r_op[i] = 0 then
      update records r
        set version = next_version(r.kind, r.version), due = u.r_due[i], value = nullif(u.r_value[i], '')
        where r.kind = u.r_kind[i] and r.key = u.r_key[i];
    elsif u.r_op[i] = 1 then
      delete from records r where r.kind = u.r_kind[i] and r.key = u.r_key[i];
    end if;
  end loop;
  return null;
end $$;
create constraint trigger sequence_staged after insert on {{schema}}.staged
  deferrable initially deferred for each row execute function {{schema}}.sequence_staged();

-- The version after the present one. That of a lease goes on above all that it can have had in an earlier life of the log.
create function {{schema}}.next_version(p_kind text, p_version bigint) returns bigint language sql stable
set search_path = {{schema}}, pg_temp
as $$
  select case p_kind when 'lease' then greatest(p_version + 1, 1000000000 * (l.epoch - 1) + 1) else p_version + 1 end
  from log l
$$;

create function {{schema}}.expected(p_expect bigint, p_actual bigint) returns boolean language sql immutable as $$
  select p_expect = -1 or p_expect = -2 and p_actual > 0 or p_expect = p_actual
$$;

-- The version of a record, null if there is none. Under an old snapshot the row is locked, which fails when it was
-- changed since.
create function {{schema}}.record_version(p_kind text, p_key text, p_fresh boolean) returns bigint
language plpgsql volatile as $$
declare
  found bigint;
begin
  if p_fresh then
    select r.version into found from {{schema}}.records r where r.kind = p_kind and r.key = p_key;
  else
    select r.version into found from {{schema}}.records r where r.kind = p_kind and r.key = p_key for share;
  end if;
  return found;
end $$;

-- Fails with a unique violation when the snapshot does not show that a stream went on after a version: it inserts the
-- next one, and takes that back.
create function {{schema}}.sees_all(p_name text, p_stream bigint, p_version bigint) returns void
language plpgsql volatile as $$
begin
  if p_stream is null then
    insert into {{schema}}.streams (id, name) values (-1, p_name);
  else
    insert into {{schema}}.events (position, stream, version, time, schema, id, type)
      values (-1, p_stream, p_version + 1, now(), 1, gen_random_uuid(), 'probe');
  end if;
  raise sqlstate 'VD000';
exception
  when sqlstate 'VD000' then
    null;
end $$;

-- The same for a record that the snapshot does not show.
create function {{schema}}.sees_all(p_kind text, p_key text) returns void language plpgsql volatile as $$
begin
  insert into {{schema}}.records (kind, key, version) values (p_kind, p_key, 1);
  raise sqlstate 'VD000';
exception
  when sqlstate 'VD000' then
    null;
end $$;

-- Nobody may do anything until it is granted; see the package documentation.
revoke all on all tables in schema {{schema}} from public;
revoke all on all functions in schema {{schema}} from public;
