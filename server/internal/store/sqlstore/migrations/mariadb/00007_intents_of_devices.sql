-- What an algorithm has to do for a device, in the order of leases: another algorithm that nobody runs any more may have millions
-- of rows. MariaDB builds the index beside the running table.
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX IF NOT EXISTS `intent_device_order` ON `uid_intents` (`algorithm_id`, `state`, `device`, `best_time`, `datetime`, `image_id`);
