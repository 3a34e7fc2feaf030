"""Reads a topic: broker, topic, how many messages. Prints them as JSON, a line each, when there are so many and no more
come for two seconds."""

import json
import sys
import time

from confluent_kafka import Consumer, TopicPartition

broker, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({"bootstrap.servers": broker, "group.id": "test", "auto.offset.reset": "earliest"})
partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
messages, last = [], time.monotonic()
while time.monotonic() - last < (2 if len(messages) >= count else 20):
    message = consumer.poll(0.1)
    if message is None or message.error():
        continue
    last = time.monotonic()
    headers = {key: value.decode() for key, value in message.headers() or []}
    messages.append({"key": message.key().decode(), "value": json.loads(message.value()), "headers": headers})
consumer.close()
for message in messages:
    print(json.dumps(message))
