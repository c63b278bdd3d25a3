-- The tables of the old stack, as it made them: on its databases nothing happens here.
--
-- MariaDB commits every CREATE TABLE at once, so a transaction would only pretend; killed half way, all is repeated.
-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS `images` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `device` varchar(8) NOT NULL,
  `datetime` datetime NOT NULL,
  `md5` varchar(32) NOT NULL,
  `device_version` varchar(8) DEFAULT NULL,
  `width` smallint(6) NOT NULL,
  `height` smallint(6) NOT NULL,
  `alt` smallint(6) DEFAULT NULL,
  `lat` decimal(9,6) DEFAULT NULL,
  `lng` decimal(9,6) DEFAULT NULL,
  `temp` float DEFAULT NULL,
  `hum` float DEFAULT NULL,
  `no_flash_shutter_speed` float NOT NULL,
  `no_flash_exposure_time` float NOT NULL,
  `no_flash_bv` float NOT NULL,
  `no_flash_iso` float NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `image_id` (`device`,`datetime`),
  KEY `image_uid` (`device`,`datetime`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `uid_annotations` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `parent_image_id` int(11) NOT NULL,
  `algo_name` varchar(64) NOT NULL,
  `algo_version` varchar(46) NOT NULL,
  `n_objects` int(11) NOT NULL,
  `json` longtext NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `annotation_id` (`parent_image_id`,`algo_name`,`algo_version`),
  CONSTRAINT `uid_annotations_ibfk_1` FOREIGN KEY (`parent_image_id`) REFERENCES `images` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `users` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `username` varchar(32) NOT NULL,
  `email` varchar(64) DEFAULT NULL,
  `password_hash` varchar(128) NOT NULL,
  `is_admin` tinyint(1) DEFAULT NULL,
  `can_write` tinyint(1) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `username` (`username`),
  UNIQUE KEY `email` (`email`),
  KEY `ix_users_email` (`email`),
  KEY `ix_users_username` (`username`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `tuboid_series` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `device` varchar(8) NOT NULL,
  `start_datetime` datetime NOT NULL,
  `end_datetime` datetime NOT NULL,
  `n_images` int(11) NOT NULL,
  `n_tuboids` int(11) NOT NULL,
  `algo_name` varchar(64) NOT NULL,
  `algo_version` varchar(46) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `tiled_series_id` (`device`,`start_datetime`,`end_datetime`,`algo_name`,`algo_version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `tiled_tuboids` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `parent_series_id` int(11) NOT NULL,
  `tuboid_id` varchar(100) NOT NULL,
  `id_in_series` int(11) NOT NULL,
  `start_datetime` datetime NOT NULL,
  `end_datetime` datetime NOT NULL,
  `n_shots` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `tuboid_id` (`tuboid_id`),
  KEY `parent_series_id` (`parent_series_id`),
  CONSTRAINT `tiled_tuboids_ibfk_1` FOREIGN KEY (`parent_series_id`) REFERENCES `tuboid_series` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `itc_labels` (
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `parent_tuboid_id` int(11) NOT NULL,
  `algo_name` varchar(32) NOT NULL,
  `algo_version` varchar(46) NOT NULL,
  `label` int(11) NOT NULL,
  `pattern` varchar(128) NOT NULL,
  `type` varchar(32) NOT NULL,
  `order` varchar(32) DEFAULT NULL,
  `family` varchar(32) DEFAULT NULL,
  `genus` varchar(32) DEFAULT NULL,
  `species` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `label_id` (`parent_tuboid_id`,`algo_name`,`algo_version`),
  CONSTRAINT `itc_labels_ibfk_1` FOREIGN KEY (`parent_tuboid_id`) REFERENCES `tiled_tuboids` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

