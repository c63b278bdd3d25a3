-- What detectors still have to do: see work.go.
--
-- MariaDB commits every CREATE TABLE at once, so a transaction would only pretend; killed half way, all is repeated.
-- +goose NO TRANSACTION
-- +goose Up

-- One row, which those share who store images or annotations and which those hold alone who make an algorithm or a version
-- known.
CREATE TABLE IF NOT EXISTS `uid_gate` (
  `id` tinyint(4) NOT NULL,
  `algorithms` int(11) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT IGNORE INTO `uid_gate` (`id`, `algorithms`) VALUES (1, 0);

-- version is the newest that asked for work, version_time its timestamp; images with an id below backfill_below are not
-- entered into uid_intents for it yet.
CREATE TABLE IF NOT EXISTS `uid_algorithms` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(64) NOT NULL,
  `version` varchar(46) NOT NULL,
  `version_time` bigint(20) NOT NULL,
  `backfill_below` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `algorithm_name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- An image that an algorithm has not annotated in its newest version. device and datetime are the image's, for the order.
-- best_time is the timestamp of the newest version that has annotated it, -1 where none has. Times of leases are seconds
-- since the epoch; lease_time is the timestamp of the version that the lease is for. algorithm_id refers to uid_algorithms
-- without a foreign key, whose lock would make uploads wait for backfills.
CREATE TABLE IF NOT EXISTS `uid_intents` (
  `image_id` int(11) NOT NULL,
  `algorithm_id` int(11) NOT NULL,
  `device` varchar(8) NOT NULL,
  `datetime` datetime NOT NULL,
  `best_time` bigint(20) NOT NULL,
  `state` tinyint(4) NOT NULL DEFAULT 0,
  `lease_user` int(11) DEFAULT NULL,
  `lease_until` bigint(20) DEFAULT NULL,
  `lease_time` bigint(20) DEFAULT NULL,
  `failures` int(11) NOT NULL DEFAULT 0,
  `failed_version` varchar(46) DEFAULT NULL,
  `failed_reason` varchar(1000) DEFAULT NULL,
  `failed_datetime` datetime DEFAULT NULL,
  `failed_user` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`image_id`,`algorithm_id`),
  KEY `intent_order` (`algorithm_id`,`state`,`best_time`,`datetime`,`image_id`),
  KEY `intent_device` (`state`,`device`,`datetime`,`image_id`,`algorithm_id`,`best_time`),
  KEY `intent_lease` (`lease_until`),
  CONSTRAINT `intent_image` FOREIGN KEY (`image_id`) REFERENCES `images` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
