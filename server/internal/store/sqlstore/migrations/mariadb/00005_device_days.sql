-- What is worth remembering of a device's images of one UTC day: see days.go. All of it can be made again from images and
-- uid_annotations, so the table may be emptied at any time.
--
-- MariaDB commits every CREATE TABLE at once, so a transaction would only pretend; killed half way, all is repeated.
-- +goose NO TRANSACTION
-- +goose Up

-- device is in small letters, day counts from 1970-01-01. version rises with every change of the day's images or annotations;
-- the rest holds as long as kept is the same number.
CREATE TABLE IF NOT EXISTS `device_days` (
  `device` varchar(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `day` int(11) NOT NULL,
  `version` bigint(20) NOT NULL,
  `kept` bigint(20) DEFAULT NULL,
  `images` int(11) NOT NULL DEFAULT 0,
  `first_at` bigint(20) NOT NULL DEFAULT 0,
  `last_at` bigint(20) NOT NULL DEFAULT 0,
  `step` int(11) NOT NULL DEFAULT 0,
  `gaps` int(11) NOT NULL DEFAULT 0,
  `longest` int(11) NOT NULL DEFAULT 0,
  `points` mediumblob DEFAULT NULL,
  PRIMARY KEY (`device`,`day`),
  KEY `day_summary` (`device`,`day`,`version`,`kept`,`images`,`first_at`,`last_at`,`step`,`gaps`,`longest`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
