package spi

const tcpNotSentLowAt = 25 // linux/tcp.h
