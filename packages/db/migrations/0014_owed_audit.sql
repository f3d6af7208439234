CREATE TABLE "owed_audit" (
	"id" uuid PRIMARY KEY NOT NULL,
	"record" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
