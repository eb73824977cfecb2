"""The training loop of a beginner's tutorial, as a baseline. It uses nothing of foveate.

    python benchmarks/plain_loop.py ROOT {MNIST,FashionMNIST} EPOCHS SEED

torchvision's dataset, ToTensor, DataLoader, batches of 32, Adam at 1e-3, a network with two 3x3
convolutions. ROOT holds the IDX files as torchvision expects them (ROOT/MNIST/raw). Prints a line
of JSON after each epoch: seconds since the process began, and accuracy on the test split.
"""

import json
import sys
import time

BEGAN = time.time()

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision import datasets  # noqa: E402
from torchvision.transforms import ToTensor  # noqa: E402

root, name, epochs, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(seed)
dataset = getattr(datasets, name)
train = DataLoader(dataset(root, train=True, transform=ToTensor()), batch_size=32, shuffle=True)
test = DataLoader(dataset(root, train=False, transform=ToTensor()), batch_size=1000)
net = nn.Sequential(
    nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
    nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
    nn.Linear(128, 10),
)  # fmt: skip
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
scoring = 0.0
for epoch in range(1, epochs + 1):
    net.train()
    for images, labels in train:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    trained = time.time() - BEGAN - scoring  # the evaluation after each epoch does not count
    net.eval()
    with torch.no_grad():
        right = sum((net(images).argmax(1) == labels).sum().item() for images, labels in test)
    scoring = time.time() - BEGAN - trained
    print(
        json.dumps({"epoch": epoch, "seconds": trained, "accuracy": right / len(test.dataset)}),
        flush=True,
    )
