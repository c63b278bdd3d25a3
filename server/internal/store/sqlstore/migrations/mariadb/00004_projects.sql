-- Projects: studies, who may do what with them, and their series. The free columns of all projects' series are JSON, so
-- that a new project needs no table of its own.
--
-- MariaDB commits every CREATE TABLE at once, so a transaction would only pretend; killed half way, all is repeated.
-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS `projects` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(32) NOT NULL,
  `description` text DEFAULT NULL,
  `notes` text DEFAULT NULL,
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `project_name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `project_permissions` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `parent_project_id` int(11) NOT NULL,
  `parent_user_id` int(11) NOT NULL,
  `level` tinyint(4) NOT NULL,
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `permission_id` (`parent_project_id`,`parent_user_id`),
  KEY `permission_user` (`parent_user_id`),
  CONSTRAINT `permission_project` FOREIGN KEY (`parent_project_id`) REFERENCES `projects` (`id`) ON DELETE CASCADE,
  CONSTRAINT `permission_user` FOREIGN KEY (`parent_user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS `project_series` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `parent_project_id` int(11) NOT NULL,
  `device` varchar(8) NOT NULL,
  `start_datetime` datetime NOT NULL,
  `end_datetime` datetime NOT NULL,
  `free_columns` text NOT NULL,
  `datetime_created` datetime NOT NULL,
  `api_version` varchar(8) DEFAULT NULL,
  `api_user` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `project_series_project` (`parent_project_id`),
  CONSTRAINT `project_series_project` FOREIGN KEY (`parent_project_id`) REFERENCES `projects` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
