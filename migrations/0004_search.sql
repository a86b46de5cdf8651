-- Search: what is kept to find messages by, and the one question that is asked of it. What a query means (words, phrases,
-- typing errors) is decided in src/chat/search_query.ts; the text is folded and cut as in src/chat/search_text.ts, and
-- tests/store/search_text_test.ts holds the two together. Postgres only: a tsvector for words, pg_trgm for parts of them.
--
-- Only how letters beyond ASCII become small depends on the database's locale. The text parser and pg_trgm do: where
-- LC_CTYPE is C they know no letters but ASCII ones. So other texts are cut here, by ranges of code points.

do $$
begin
  create extension if not exists pg_trgm;
exception when others then
  raise exception using
    message = 'Search needs the extension pg_trgm, and it could not be created: ' || sqlerrm,
    hint = 'Have an administrator run "create extension pg_trgm" in this database (it comes with postgresql-contrib), then migrate again.';
end $$;

-- A text as search compares it: small letters, compatibility forms as one (NFKC), no accents, nothing invisible.
-- (Bodies without quotes are bound when they are made: a restore with an empty search_path finds what they call.)
create function fold_v1(content text) returns text language sql immutable parallel safe
return case when octet_length(content) = length(content) then lower(content)
  else normalize(translate(lower(regexp_replace(normalize(content, NFKD),
    '[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]+', '', 'g')), 'ς', 'σ'), NFC) end;

-- A folded text, cut at whatever is neither letter nor digit into words, and into the single signs of scripts that put no
-- blanks between words, or hang particles on them (Chinese, Japanese, Korean, Thai …; emoji too). Each has its place.
-- A sign brings the pair along that it makes with the next: two or more are found by their pairs. A word beyond
-- ASCII brings its three-letter parts along, marked "~": pg_trgm may not see them. No lexeme needs to be quoted
-- within its quotes. What is longer than any query is left out.
create function tokens_v1(folded text) returns tsvector language sql immutable parallel safe
return (
  with cut as (
    select t.part[1] as sign, t.part[2] as word, t.n
    from regexp_matches(
      regexp_replace(folded, '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u037e\u0387\u055a-\u055f\u0589-\u058a\u05be\u05c0\u05c3\u05c6\u05f3-\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u0700-\u070d\u0964-\u0965\u0970\u0e3f\u0e4f\u0e5a-\u0e5b\u104a-\u104f\u10fb\u1360-\u1368\u166e\u1680\u17d4-\u17db\u2000-\u25ff\u27c0-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d-\u3040\u309b-\u309c\u30a0\u30fb\ue000-\uf8ff\ufd3e-\ufd3f\ufe10-\ufe6f\uff00-\uff65\uffe0-\uffff]+', ' ', 'g'),
      '([\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2600-\u27bf\u2e80-\u312f\u3130-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff])|([^\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2600-\u27bf\u2e80-\u312f\u3130-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff ]+)| ',
      'g') with ordinality t(part, n)
  ), placed as (
    select c.sign, c.word, lead(c.sign) over (order by c.n) as next,
      count(coalesce(c.sign, c.word)) over (order by c.n) as place
    from cut c
  ), tokens as (
    select coalesce(p.sign, p.word) as token, p.place from placed p where p.sign is not null or length(p.word) <= 200
    union all
    select p.sign || p.next, p.place from placed p where p.sign is not null and p.next is not null
    union all
    select '~' || substr(p.word, i, 3), null from placed p, generate_series(1, length(p.word) - 2) i
      where octet_length(p.word) <> length(p.word)
  )
  select coalesce(string_agg('''' || t.token || '''' || coalesce(':' || t.place, ''), ' '), '')::tsvector from tokens t);

-- What a message is found by: its words, and as lexemes without a place its room ("/" and the end of its id), its sender
-- ("@"), its type unless it is TEXT ("#"), and whether it has attachments ("#file"). So a search in one room, or by one
-- sender, reads nothing of the others in the index. The parser cuts plain ASCII faster, and alike, once nothing is left
-- in it that begins an address, a path, a tag or a number like 1e5. A tsvector has an upper limit: only the first 20,000
-- characters count.
create function search_words_v1(room_id uuid, sender_id text, type text, attachments jsonb, content text)
returns tsvector language sql immutable parallel safe
return array_to_tsvector(array['/' || right(room_id::text, 12), '@' || sender_id]
    || case when type = 'TEXT' then '{}'::text[] else array['#' || type] end
    || case when attachments = '[]' then '{}'::text[] else array['#file'] end)
  || case when octet_length(content) = length(content) and content !~* '[0-9]e[0-9]'
    then to_tsvector('simple'::regconfig,
      regexp_replace(lower(left(content, 20000)), '[-+./@:&<_~]', ' ', 'g'))
    else tokens_v1(fold_v1(left(content, 20000))) end;

-- Never of a tombstone, never of a direct message.
alter table messages add column words tsvector generated always as (
  case when not is_deleted and recipient_id is null
    then search_words_v1(room_id, sender_id, type, attachments, content) end) stored;

-- New entries do not wait in a list: every look into the index would read through it, and a search may look hundreds of
-- times (spellings).
create index messages_words on messages using gin (words) with (fastupdate = off) where words is not null;
-- from the newest on, for what is frequent
create index messages_by_time on messages (created_at, id) where words is not null;
-- parts of words; the extension may live in a schema of its own
do $$
begin
  execute format('create index messages_parts on messages using gin (fold_v1(content) %I.gin_trgm_ops)
    with (gin_pending_list_limit = 1024) where words is not null',
    (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm'));
end $$;

-- Of some spellings, those that stand in any message, as a tsquery's text; null if none does. Each is one look into the
-- index of words, and must not be a walk along another until one is found: most stand nowhere.
create function known_spellings_v1(spellings jsonb) returns text language plpgsql stable
set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
begin
  return (select '(' || string_agg(s.quoted, '|') || ')'
    from (select '''' || v || '''' as quoted from jsonb_array_elements_text(spellings) v) s
    where exists (select from messages m where m.words @@ s.quoted::tsquery offset 0));
end $$;

create function quote_lexeme_v1(lexeme text) returns text language sql immutable parallel safe
return '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''';

create function moment_v1(microseconds text) returns timestamptz language sql immutable parallel safe
return timestamptz '1970-01-01 00:00:00+00' + microseconds::bigint * interval '1 microsecond';

create function microseconds_v1(at timestamptz) returns bigint language sql immutable parallel safe
return (extract(epoch from at) * 1000000)::bigint;

-- p: {userId, window, limit, rankBy: words | share | none,
--     words? (a tsquery's text), spellings? (lists of words), likes? (a pattern of LIKE), matches? (regular expressions),
--     exact? (a tsquery's text: what it finds comes first), length? (for the share),
--     roomId?, senderId?, type?, hasAttachment?, after?, before? (microseconds),
--     from? {at, id}, beyond? {at, id}, below? {rank, at, id}}
-- The window: the newest `window` matches at or before `from`; on its further pages, all of them after `beyond`. Its rows
-- come by rank, then newest first; with `below`, only those after it. There is always one row: it says where the window
-- begins (from_…), where the next one would (next_…), and how many direct rooms were left out.
-- The statement is put together and planned for each call: a plan made for any word reads far too much for most. The planner
-- knows how frequent words are, and so whether to walk back in time until there are enough, or to collect all matches
-- from an index and sort them. Of phrases, parts of words and what is not wanted it does not know: a sample of the newest messages tells.
create function search_messages_v1(p jsonb) returns table (code text, direct_rooms integer, from_at bigint, from_id uuid,
  next_at bigint, next_id uuid, at bigint, id uuid, rank float8, message text)
language plpgsql stable
set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = on set enable_sort = on
set jit = off set random_page_cost = '1.1' as $$
#variable_conflict use_column
declare
  room_ids uuid[];
  is_member boolean;
  blocked text[] := array(select b.blocked_id from user_blocks b where b.blocker_id = p->>'userId');
  query text := p->>'words';
  ranked_by text;
  spelling text;
  nothing boolean := false;
  tags text[] := '{}';
  -- $1: p, $2: query, $3: room_ids, $4: blocked; what is null in p is not asked
  time_sql text := 'm.words is not null'
    || case when p ? 'after' then ' and m.created_at >= moment_v1($1->>''after'')' else '' end
    || case when p ? 'before' then ' and m.created_at < moment_v1($1->>''before'')' else '' end
    || case when p ? 'from' then ' and (m.created_at, m.id) <= (moment_v1($1->''from''->>''at''), ($1->''from''->>''id'')::uuid)' else '' end
    || case when p ? 'beyond' then ' and (m.created_at, m.id) > (moment_v1($1->''beyond''->>''at''), ($1->''beyond''->>''id'')::uuid)' else '' end;
  where_sql text := 'm.room_id = any ($3)'
    || case when blocked <> '{}' then ' and m.sender_id <> all ($4)' else '' end
    || case when p ? 'senderId' then ' and m.sender_id = $1->>''senderId''' else '' end
    || case when p ? 'type' then ' and m.type = $1->>''type''' else '' end
    || case when p ? 'hasAttachment' then ' and (m.attachments <> ''[]'') = ($1->''hasAttachment'')::boolean' else '' end
    || case when p ? 'likes' then ' and fold_v1(m.content) like $1->>''likes''' else '' end
    || case when p ? 'matches' then ' and fold_v1(m.content) ~ all (array(select jsonb_array_elements_text($1->''matches'')))' else '' end;
  order_sql text := 'm.created_at desc, m.id desc';
  sampled integer;
begin
  select array_agg(r.id) filter (where r.type <> 'DIRECT'), count(*) > 0,
      count(*) filter (where r.type = 'DIRECT'
        and exists (select from messages m where m.room_id = r.id and not m.is_deleted))
    into room_ids, is_member, direct_rooms
    from memberships s join rooms r on r.id = s.room_id
    where s.user_id = p->>'userId' and s.left_seq is null and not s.is_blocked and r.deleted_at is null
      and (not p ? 'roomId' or r.id = (p->>'roomId')::uuid);
  if p ? 'roomId' and not is_member then code := 'not_member'; return next; return; end if;

  for spelling in select known_spellings_v1(list) from jsonb_array_elements(coalesce(p->'spellings', '[]')) list loop
    nothing := nothing or spelling is null;
    query := concat_ws(' & ', query, spelling);
  end loop;
  if room_ids is null or nothing then return next; return; end if;
  ranked_by := query;

  if cardinality(room_ids) <= 64 then -- beyond, the index would have to merge too many lists
    tags := tags || (select '(' || string_agg(quote_lexeme_v1('/' || right(r::text, 12)), '|') || ')' from unnest(room_ids) r);
  end if;
  if p ? 'senderId' then tags := tags || quote_lexeme_v1('@' || (p->>'senderId')); end if;
  if p->>'type' <> 'TEXT' then tags := tags || quote_lexeme_v1('#' || (p->>'type')); end if;
  if p->'hasAttachment' = 'true' then tags := tags || quote_lexeme_v1('#file'); end if;
  query := array_to_string('(' || query || ')' || tags, ' & ');
  if query <> '' then where_sql := where_sql || ' and m.words @@ $2'; end if;

  if p ? 'likes' or p->>'words' ~ '[<!]' then
    execute format($sample$
      select count(*) from (select * from messages m where %s order by m.created_at desc, m.id desc limit 500) m where %s
      $sample$, time_sql, where_sql)
    into sampled using p, query::tsquery, room_ids, blocked;
    -- walking reads window / share, collecting reads share * all: whichever is less
    if sampled >= 500 * sqrt((p->>'window')::float8
      / greatest(1, (select c.reltuples from pg_class c where c.oid = 'messages'::regclass))) then
      perform set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true); -- until this function ends
    else
      order_sql := 'm.created_at + interval ''0'' desc, m.id desc'; -- which no index has
    end if;
  end if;

  return query execute format($page$
    with matches as materialized (
      select m.id, m.created_at %s from messages m where %s and %s order by %s limit ($1->>'window')::integer + 1
    ), numbered as (
      select x.*, row_number() over (order by x.created_at desc, x.id desc) as n from matches x
    ), ranked as (
      select w.id, w.created_at, %s as rank from numbered w where w.n <= ($1->>'window')::integer
    ), page as (
      select k.* from ranked k %s order by k.rank desc, k.created_at desc, k.id desc limit ($1->>'limit')::integer
    )
    select null, $5, microseconds_v1(f.created_at), f.id, microseconds_v1(x.created_at), x.id,
      microseconds_v1(k.created_at), k.id, k.rank, (select message_json_v1(m) from messages m where m.id = k.id)
    from (values (1)) one left join numbered f on f.n = 1 left join numbered x on x.n = ($1->>'window')::integer + 1
      left join page k on true
    order by k.rank desc, k.created_at desc, k.id desc
    $page$,
    case p->>'rankBy' when 'words' then ', m.words' when 'share' then ', m.content' else '' end,
    time_sql, where_sql, order_sql,
    case p->>'rankBy'
      when 'words' then 'ts_rank_cd(w.words, $6, 1)::float8' || case when p ? 'exact' then ' + (w.words @@ ($1->>''exact'')::tsquery)::integer' else '' end
      when 'share' then '($1->>''length'')::float8 / greatest(1, length(w.content))'
      else '0::float8' end,
    case when p ? 'below' then
      'where (k.rank, k.created_at, k.id) < (($1->''below''->>''rank'')::float8, moment_v1($1->''below''->>''at''), ($1->''below''->>''id'')::uuid)'
      else '' end)
  using p, query::tsquery, room_ids, blocked, direct_rooms, ranked_by::tsquery;
end $$;
