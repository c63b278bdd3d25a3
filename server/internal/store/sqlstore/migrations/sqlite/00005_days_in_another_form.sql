-- Days are kept in the form 2 (dayFormat in daycode.go) from here on. Whoever reads summaries alone does not see the form, so the
-- days of before are forgotten; they are worked out again.
-- +goose Up
DELETE FROM device_days;
