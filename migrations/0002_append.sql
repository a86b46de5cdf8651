-- append_messages_v1: the one way a message comes into being. A batch in, one row out per item, in the
-- batch's order: the message as it now is (but for its sender, whom the caller knows), or the code of an error. A bad
-- item never fails its batch.
--
-- Why a function and not one statement: a statement that has waited for the room's lock still sees every
-- other table as it was before the wait, so repeats and bans slip through. Here each later statement has a
-- new snapshot. Lock order everywhere: rooms (sorted), users (sorted), memberships, messages.
--
-- Its plans are made once for a connection, perhaps while all tables are empty, and for 100 items whatever
-- the batch. So they must be right for any size of table: every row of a table is looked up by its whole key,
-- one at a time ("offset 0" keeps the planner from making a join of it, which may go by the room alone and
-- read all that a large one holds), and never by reading a table that is still small (enable_seqscan).
--
-- item: {id, senderId, clientMessageId, content, type, attachments, replyToId?, sealed? (base64), keyId?}
--   mentions? (ids of users; members alone count)
--   and {roomId}, or {directKey, directLow, directHigh, newRoomId} for a room that may have to be made.

create function are_blocked_v1(one text, other text) returns boolean language plpgsql stable as $$
begin
  return exists (select from user_blocks where blocker_id = one and blocked_id = other)
    or exists (select from user_blocks where blocker_id = other and blocked_id = one);
end $$;

-- The direct room of two users who are there and do not block each other. Another may make it at the same time.
create function make_direct_room_v1(new_id uuid, key text, low text, high text, maker text) returns void
language plpgsql volatile as $$
begin
  if not exists (select from users where id = low) or not exists (select from users where id = high)
    or are_blocked_v1(low, high) then return; end if;
  insert into rooms (id, name, type, created_by, is_private, member_count, direct_key, direct_low, direct_high)
    values (new_id, '', 'DIRECT', maker, true, case when low = high then 1 else 2 end, key, low, high)
    on conflict (direct_key) do nothing;
  insert into memberships (room_id, user_id, joined_seq, change_seq)
    select (select r.id from rooms r where r.direct_key = key), u, 0, 0 from (select low union select high) pair(u) order by u
    on conflict do nothing;
end $$;

create function is_named_v1(content text, name text) returns boolean language plpgsql immutable as $$
begin
  return strpos(content, '@' || name) > 0
    and content ~ ('(?<![[:alnum:]_])@' || regexp_replace(name, '[^[:alnum:][:space:]]', '\\\&', 'g') || '(?![[:alnum:]_])');
end $$;

-- Who of the room is named: by id, or in the text as @name or @id, as a word of its own. In a very large room only by id:
-- the text would be held against every name.
create function mentions_v1(room uuid, content text, named jsonb) returns text[] language plpgsql stable as $$
declare
  lowered text := lower(content);
  in_text boolean := strpos(content, '@') > 0 and (select member_count <= 2000 from rooms where id = room);
begin
  if not in_text and coalesce(jsonb_array_length(named), 0) = 0 then return '{}'; end if;
  return coalesce((
    select array_agg(m.user_id order by m.user_id) from memberships m join users u on u.id = m.user_id
    where m.room_id = room and m.left_seq is null and (named ? m.user_id
      or (in_text and (is_named_v1(lowered, lower(u.name)) or is_named_v1(lowered, lower(u.id)))))), '{}');
end $$;

create function append_messages_v1(items jsonb)
returns table (ord integer, code text, is_repeat boolean, room_id uuid, seq bigint, message text,
  low text, high text, inbox_low bigint, inbox_high bigint)
language plpgsql volatile set lock_timeout = '1s' set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  room_ids uuid[];
  pair_ids text[];
  new_ids uuid[];
  stamp timestamptz;
  d record;
  t record;
begin
  room_ids := array(select (i->>'roomId')::uuid from jsonb_array_elements(items) i where i ? 'roomId');
  for d in
    select distinct on (i->>'directKey') i->>'directKey' as key, i->>'directLow' as low, i->>'directHigh' as high,
      (i->>'newRoomId')::uuid as new_id, i->>'senderId' as maker
    from jsonb_array_elements(items) i where i ? 'directKey' order by i->>'directKey'
  loop
    if not exists (select from rooms r where r.direct_key = d.key) then
      perform make_direct_room_v1(d.new_id, d.key, d.low, d.high, d.maker);
    end if;
    room_ids := room_ids || (select r.id from rooms r where r.direct_key = d.key);
    pair_ids := pair_ids || d.low || d.high;
  end loop;
  perform from rooms r where r.id = any (room_ids) order by r.id for no key update;
  -- also of direct rooms that were named by their id
  pair_ids := pair_ids || array(select u from rooms r, unnest(array[r.direct_low, r.direct_high]) u
    where r.id = any (room_ids) and r.type = 'DIRECT');
  if pair_ids <> '{}' then
    perform from users u where u.id = any (pair_ids) order by u.id for no key update;
  end if;

  stamp := clock_timestamp(); -- after the locks: created_at follows seq
  return query
  with input as (
    select * from rows from (jsonb_to_recordset(items) as (
      id uuid, "roomId" uuid, "directKey" text, "directLow" text, "directHigh" text, "senderId" text, "clientMessageId" text, content text, type text,
      attachments jsonb, "replyToId" uuid, sealed text, "keyId" text, mentions jsonb
    )) with ordinality as i(id, named_room, direct_key, named_low, named_high, sender_id, client_message_id, content, type,
      attachments, reply_to_id, sealed, key_id, named, ord)
  ), checked as (
    select i.*, r.id as room_id, r.last_seq, r.last_message_at, r.direct_low, r.direct_high, e.id as repeats, e.found,
      case when r.direct_low = i.sender_id then r.direct_high else r.direct_low end as recipient_id,
      case
        when r.id is null and are_blocked_v1(i.named_low, i.named_high) then 'blocked'
        when r.id is null or r.deleted_at is not null then 'not_found'
        when m.is_blocked then 'banned'
        when m.user_id is null or m.left_seq is not null then 'not_member'
        when e.id is not null then null
        when r.type = 'DIRECT' and are_blocked_v1(r.direct_low, r.direct_high) then 'blocked'
        when m.is_muted then 'muted'
        when i.reply_to_id is not null and p.room_id is distinct from r.id then 'reply_not_found'
      end as code
    from input i
    left join lateral (select x.id from rooms x where x.direct_key = i.direct_key offset 0) n on true
    left join lateral (select x.* from rooms x where x.id = coalesce(i.named_room, n.id) offset 0) r on true
    left join lateral (select x.* from memberships x where x.room_id = r.id and x.user_id = i.sender_id offset 0) m on true
    left join lateral (select x.id, x.room_id, x as found from messages x
      where x.sender_id = i.sender_id and x.client_message_id = i.client_message_id offset 0) e on e.room_id = r.id
    left join lateral (select x.room_id from messages x where x.id = i.reply_to_id offset 0) p on true
  ), ranked as (
    -- a repeat inside the batch is the first one's message
    select c.*, c.code is null and c.repeats is null
      and row_number() over (partition by c.room_id, c.sender_id, c.client_message_id, c.code is null order by c.ord) = 1 as is_new
    from checked c
  ), numbered as (
    -- every item; what is to be stored has a seq. (By "seq is not null" and not by is_new is it found again below:
    -- the planner takes that for nearly all rows, and does not compare each with each.)
    select k.*, case when k.is_new then k.last_seq + count(*) filter (where k.is_new) over (partition by k.room_id order by k.ord) end as seq
    from ranked k
  ), noticed as (
    select n.ord, p.user_id, u.inbox_seq + row_number() over (partition by p.user_id order by n.ord) as inbox_seq
    from numbered n
    cross join lateral (select n.direct_low union select n.direct_high) p(user_id)
    cross join lateral (select x.inbox_seq from users x where x.id = p.user_id offset 0) u
    where n.seq is not null and n.direct_low is not null
  ), inserted as (
    insert into messages as m (id, room_id, seq, change_seq, sender_id, recipient_id, client_message_id, content,
      sealed, key_id, is_encrypted, type, attachments, reply_to_id, mentions, created_at, inbox_low, inbox_high, first_inbox_low, first_inbox_high)
    select n.id, n.room_id, n.seq, n.seq, n.sender_id, n.recipient_id, n.client_message_id, n.content,
      decode(n.sealed, 'base64'), n.key_id, n.sealed is not null, n.type, coalesce(n.attachments, '[]'), n.reply_to_id,
      mentions_v1(n.room_id, n.content, n.named),
      greatest(stamp, n.last_message_at), low.inbox_seq, high.inbox_seq, low.inbox_seq, high.inbox_seq
    from numbered n
    left join noticed low on low.ord = n.ord and low.user_id = n.direct_low
    left join noticed high on high.ord = n.ord and high.user_id = n.direct_high
    where n.seq is not null
    returning m.room_id, m.sender_id, m.client_message_id, m.seq, m.inbox_low, m.inbox_high, message_fields_v1(m) as message
  )
  -- one that finds itself, as our own second try after an unknown outcome does, is no repeat: nobody has told of it
  select n.ord::integer, n.code,
    n.code is null and n.seq is null and (n.repeats is distinct from n.id or (n.found).change_seq <> (n.found).seq),
    n.room_id, coalesce(i.seq, (n.found).seq), coalesce(i.message, message_fields_v1(n.found)), n.direct_low, n.direct_high,
    coalesce(i.inbox_low, (n.found).inbox_low), coalesce(i.inbox_high, (n.found).inbox_high)
  from numbered n
  left join inserted i on i.room_id = n.room_id and i.sender_id = n.sender_id and i.client_message_id = n.client_message_id
  order by n.ord;

  -- Whatever moves along. What an earlier try has stored has been counted then: nothing goes backwards.
  new_ids := array(select (i->>'id')::uuid from jsonb_array_elements(items) i);
  for t in
    select m.room_id, max(m.seq) as seq, max(m.created_at) as created_at
    from messages m where m.id = any (new_ids) group by m.room_id
  loop
    update rooms set last_seq = greatest(last_seq, t.seq), last_message_at = greatest(last_message_at, t.created_at)
      where id = t.room_id;
  end loop;
  for t in
    select m.room_id, m.sender_id, max(m.seq) as seq
    from messages m where m.id = any (new_ids) group by m.room_id, m.sender_id order by m.room_id, m.sender_id
  loop
    update memberships set last_read_seq = t.seq, last_read_at = stamp, unread_from_seq = null
      where room_id = t.room_id and user_id = t.sender_id and last_read_seq < t.seq;
  end loop;
  if pair_ids <> '{}' then
    for t in
      select m.room_id, p.user_id, min(p.inbox_seq) as first_seq, max(p.inbox_seq) as last_seq
      from messages m
      cross join lateral (select x.direct_low, x.direct_high from rooms x where x.id = m.room_id offset 0) r
      cross join lateral (values (r.direct_low, m.inbox_low), (r.direct_high, m.inbox_high)) p(user_id, inbox_seq)
      where m.id = any (new_ids) and m.inbox_low is not null
      group by m.room_id, p.user_id order by m.room_id, p.user_id
    loop
      update users set inbox_seq = greatest(inbox_seq, t.last_seq) where id = t.user_id;
      update memberships set inbox_change_seq = greatest(inbox_change_seq, t.last_seq),
          joined_inbox_seq = case when joined_inbox_seq = 0 then t.first_seq else joined_inbox_seq end
        where room_id = t.room_id and user_id = t.user_id;
    end loop;
  end if;
end $$;
