DROP VIEW "public"."team_limits";--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "request_rate" text;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "key_request_rate" text;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "request_rate" text;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "key_request_rate" text;--> statement-breakpoint
ALTER TABLE "project_limits" ADD CONSTRAINT "project_limits_request_rate" CHECK ("project_limits"."request_rate" ~ '^(none|[1-9][0-9]{0,6}/[smh](:[1-9][0-9]{0,6})?)$');--> statement-breakpoint
ALTER TABLE "project_limits" ADD CONSTRAINT "project_limits_key_request_rate" CHECK ("project_limits"."key_request_rate" ~ '^(none|[1-9][0-9]{0,6}/[smh](:[1-9][0-9]{0,6})?)$');--> statement-breakpoint
ALTER TABLE "tiers" ADD CONSTRAINT "tiers_request_rate" CHECK ("tiers"."request_rate" ~ '^(none|[1-9][0-9]{0,6}/[smh](:[1-9][0-9]{0,6})?)$');--> statement-breakpoint
ALTER TABLE "tiers" ADD CONSTRAINT "tiers_key_request_rate" CHECK ("tiers"."key_request_rate" ~ '^(none|[1-9][0-9]{0,6}/[smh](:[1-9][0-9]{0,6})?)$');--> statement-breakpoint
CREATE VIEW "public"."team_limits" AS (
  select
    t.id as team_id,
    coalesce(p.disk_mb, tier.disk_mb + a.disk_mb)::bigint as disk_mb,
    coalesce(p.concurrent_instances, tier.concurrent_instances + a.concurrent_sandboxes)::bigint as concurrent_instances,
    coalesce(p.max_length_hours, tier.max_length_hours)::bigint as max_length_hours,
    coalesce(p.concurrent_template_builds, tier.concurrent_template_builds + a.concurrent_template_builds)::bigint
      as concurrent_template_builds,
    coalesce(p.max_vcpu, tier.max_vcpu + a.max_vcpu)::bigint as max_vcpu,
    coalesce(p.max_ram_mb, tier.max_ram_mb + a.max_ram_mb)::bigint as max_ram_mb,
    coalesce(p.events_ttl_days, tier.events_ttl_days + a.events_ttl_days)::bigint as events_ttl_days,
    coalesce(p.default_free_disk_size_mb, tier.default_free_disk_size_mb)::bigint as default_free_disk_size_mb,
    coalesce(p.max_disk_size_mb, tier.max_disk_size_mb + a.max_disk_size_mb)::bigint as max_disk_size_mb,
    coalesce(p.max_upload_mb, tier.max_upload_mb)::bigint as max_upload_mb,
    coalesce(p.max_snapshots, tier.max_snapshots)::bigint as max_snapshots,
    coalesce(p.max_snapshot_mb, tier.max_snapshot_mb)::bigint as max_snapshot_mb,
    coalesce(p.max_paused_sandboxes, tier.max_paused_sandboxes)::bigint as max_paused_sandboxes,
    coalesce(p.max_paused_mb, tier.max_paused_mb)::bigint as max_paused_mb,
    coalesce(p.max_volumes, tier.max_volumes)::bigint as max_volumes,
    coalesce(p.max_volume_mb, tier.max_volume_mb)::bigint as max_volume_mb,
    coalesce(p.max_templates, tier.max_templates)::bigint as max_templates,
    coalesce(p.max_api_keys, tier.max_api_keys)::bigint as max_api_keys,
    coalesce(p.request_rate, tier.request_rate) as request_rate,
    coalesce(p.key_request_rate, tier.key_request_rate) as key_request_rate
  from teams t
  join tiers tier on tier.id = t.tier
  left join project_limits p on p.team_id = t.id
  cross join lateral (
    select
      coalesce(sum(extra_disk_mb), 0) as disk_mb,
      coalesce(sum(extra_concurrent_sandboxes), 0) as concurrent_sandboxes,
      coalesce(sum(extra_concurrent_template_builds), 0) as concurrent_template_builds,
      coalesce(sum(extra_max_vcpu), 0) as max_vcpu,
      coalesce(sum(extra_max_ram_mb), 0) as max_ram_mb,
      coalesce(sum(extra_events_ttl_days), 0) as events_ttl_days,
      coalesce(sum(extra_max_disk_size_mb), 0) as max_disk_size_mb
    from addons
    where addons.team_id = t.id and valid_from <= now() and (valid_to is null or valid_to > now())
  ) a
);