-- append_messages_v1: the one way a message comes into being. A batch in, one row out per item, in the
-- batch's order: the message as it now is, or the code of an error. A bad item never fails its batch.
--
-- Why a function and not one statement: a statement that has waited for the room's lock still sees every
-- other table as it was before the wait, so repeats and bans slip through. Here each later statement has a
-- new snapshot. Lock order everywhere: rooms (sorted), users (sorted), memberships, messages.
--
-- The planner takes every batch for 100 items and would rather read some thousand memberships whole than look up
-- so many: enable_seqscan. One plan for all, made before the first message comes: plan_cache_mode.
--
-- item: {id, senderId, clientMessageId, content, type, attachments, replyToId?, sealed? (base64), keyId?}
--   and {roomId}, or {directKey, directLow, directHigh, newRoomId} for a room that may have to be made.
create function append_messages_v1(items jsonb)
returns table (ord integer, code text, is_repeat boolean, room_id uuid, seq bigint, message text,
  low text, high text, inbox_low bigint, inbox_high bigint)
language plpgsql volatile set lock_timeout = '1s' set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  directs jsonb;
  room_ids uuid[];
  pair_ids text[];
  stamp timestamptz;
begin
  select jsonb_agg(i) into directs from jsonb_array_elements(items) i
    where i ? 'directKey' and not exists (select from rooms r where r.direct_key = i->>'directKey');
  if directs is not null then
    insert into rooms (id, name, type, created_by, is_private, member_count, direct_key, direct_low, direct_high)
      select distinct on (d."directKey") d."newRoomId", '', 'DIRECT', d."senderId", true,
        case when d."directLow" = d."directHigh" then 1 else 2 end, d."directKey", d."directLow", d."directHigh"
      from jsonb_to_recordset(directs) as d("newRoomId" uuid, "senderId" text, "directKey" text, "directLow" text, "directHigh" text)
      where (select count(*) from users u where u.id in (d."directLow", d."directHigh"))
          = case when d."directLow" = d."directHigh" then 1 else 2 end
        and not exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((d."directLow", d."directHigh"), (d."directHigh", d."directLow")))
      order by d."directKey"
      on conflict (direct_key) do nothing;
    insert into memberships (room_id, user_id, joined_seq, change_seq)
      select r.id, u.id, 0, 0 from rooms r join users u on u.id in (r.direct_low, r.direct_high)
      where r.direct_key in (select d->>'directKey' from jsonb_array_elements(directs) d)
      order by r.id, u.id
      on conflict do nothing;
  end if;

  select array_agg(id) into room_ids from (
    select (i->>'roomId')::uuid as id from jsonb_array_elements(items) i where i ? 'roomId'
    union select r.id from jsonb_array_elements(items) i join rooms r on r.direct_key = i->>'directKey') named;
  perform from rooms r where r.id = any (room_ids) order by r.id for no key update;

  select array_agg(u) into pair_ids from rooms r, unnest(array[r.direct_low, r.direct_high]) u
    where r.id = any (room_ids) and r.type = 'DIRECT';
  if pair_ids is not null then
    perform from users u where u.id = any (pair_ids) order by u.id for no key update;
  end if;

  stamp := clock_timestamp(); -- after the locks: created_at follows seq
  return query
  with input as (
    select * from rows from (jsonb_to_recordset(items) as (
      id uuid, "roomId" uuid, "directKey" text, "directLow" text, "directHigh" text, "senderId" text, "clientMessageId" text, content text, type text,
      attachments jsonb, "replyToId" uuid, sealed text, "keyId" text
    )) with ordinality as i(id, named_room, direct_key, named_low, named_high, sender_id, client_message_id, content, type,
      attachments, reply_to_id, sealed, key_id, ord)
  ), checked as (
    select i.*, r.id as room_id, r.last_seq, r.last_message_at, r.direct_low, r.direct_high, e.id as repeats, e.found,
      case when r.direct_low = i.sender_id then r.direct_high else r.direct_low end as recipient_id,
      case
        when r.id is null and exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((i.named_low, i.named_high), (i.named_high, i.named_low))) then 'blocked'
        when r.id is null or r.deleted_at is not null then 'not_found'
        when m.is_blocked then 'banned'
        when m.user_id is null or m.left_seq is not null then 'not_member'
        when e.id is not null then null
        when r.type = 'DIRECT' and exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((r.direct_low, r.direct_high), (r.direct_high, r.direct_low))) then 'blocked'
        when m.is_muted then 'muted'
        when i.reply_to_id is not null and not exists (
          select from messages p where p.id = i.reply_to_id and p.room_id = r.id) then 'reply_not_found'
      end as code
    from input i
    left join rooms d on d.direct_key = i.direct_key
    left join rooms r on r.id = coalesce(i.named_room, d.id)
    -- "offset 0": each is looked up by its whole key. A join may go by the room alone, and reads all that a large one holds
    left join lateral (select p.user_id, p.left_seq, p.is_blocked, p.is_muted from memberships p
      where p.room_id = r.id and p.user_id = i.sender_id offset 0) m on true
    left join lateral (select x.id, x.room_id, x as found from messages x
      where x.sender_id = i.sender_id and x.client_message_id = i.client_message_id offset 0) e on e.room_id = r.id
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
    select n.ord, n.room_id, p.user_id, u.inbox_seq + row_number() over (partition by p.user_id order by n.ord) as inbox_seq
    from numbered n
    cross join lateral (select n.direct_low union select n.direct_high) p(user_id)
    join users u on u.id = p.user_id
    where n.seq is not null and n.direct_low is not null
  ), inserted as (
    insert into messages as m (id, room_id, seq, change_seq, sender_id, recipient_id, client_message_id, content,
      sealed, key_id, is_encrypted, type, attachments, reply_to_id, created_at, inbox_low, inbox_high)
    select n.id, n.room_id, n.seq, n.seq, n.sender_id, n.recipient_id, n.client_message_id, n.content,
      decode(n.sealed, 'base64'), n.key_id, n.sealed is not null, n.type, coalesce(n.attachments, '[]'), n.reply_to_id,
      greatest(stamp, n.last_message_at), low.inbox_seq, high.inbox_seq
    from numbered n
    left join noticed low on low.ord = n.ord and low.user_id = n.direct_low
    left join noticed high on high.ord = n.ord and high.user_id = n.direct_high
    where n.seq is not null
    returning m.room_id, m.sender_id, m.client_message_id, m.seq, m.inbox_low, m.inbox_high, message_json_v1(m) as message
  ), bumped as (
    update rooms r set last_seq = b.seq, last_message_at = greatest(stamp, r.last_message_at)
    from (select room_id, max(seq) as seq from numbered where seq is not null group by room_id) b
    where r.id = b.room_id
  ), inboxes as (
    update users u set inbox_seq = b.inbox_seq
    from (select user_id, max(inbox_seq) as inbox_seq from noticed group by user_id) b
    where u.id = b.user_id
  ), touched as (
    update memberships m set
      last_read_seq = greatest(m.last_read_seq, t.read_seq),
      last_read_at = case when t.read_seq > m.last_read_seq then stamp else m.last_read_at end,
      inbox_change_seq = greatest(m.inbox_change_seq, t.inbox_seq),
      joined_inbox_seq = case when m.joined_inbox_seq = 0 and t.inbox_seq is not null then t.first_inbox_seq else m.joined_inbox_seq end
    from (
      select room_id, user_id, max(read_seq) as read_seq, max(inbox_seq) as inbox_seq, min(inbox_seq) as first_inbox_seq from (
        select room_id, sender_id as user_id, seq as read_seq, null::bigint as inbox_seq from numbered where seq is not null
        union all select room_id, user_id, null, inbox_seq from noticed) s
      group by room_id, user_id) t
    where m.room_id = t.room_id and m.user_id = t.user_id
  )
  -- one that finds itself, as our own second try after an unknown outcome does, is no repeat: nobody has told of it
  select n.ord::integer, n.code,
    n.code is null and n.seq is null and (n.repeats is distinct from n.id or (n.found).change_seq <> (n.found).seq),
    n.room_id, coalesce(i.seq, (n.found).seq), coalesce(i.message, message_json_v1(n.found)), n.direct_low, n.direct_high,
    coalesce(i.inbox_low, (n.found).inbox_low), coalesce(i.inbox_high, (n.found).inbox_high)
  from numbered n
  left join inserted i on i.room_id = n.room_id and i.sender_id = n.sender_id and i.client_message_id = n.client_message_id
  order by n.ord;
end $$;
